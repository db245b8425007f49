"""Entries that wait for their commit, and what becomes of those that the API server refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from controller.journal.format import Line
from controller.journal.store import SegmentRefusedError

log = get_logger(__name__)


WRITE_BYTES = 256 * 1024
"""Most bytes of entries in one write: an object may have about 1 MiB."""


class EntryRefusedError(Exception):
    """The API server takes other entries and refuses this one for good. The text is its answer.

    `committed` is the number of entries of the same `append` before it, which are on disk.
    """

    def __init__(self, message: str, committed: int) -> None:
        super().__init__(message)
        self.committed = committed


@dataclass(eq=False, slots=True)
class Waiting:
    """The entries of one `append`, all of one run, in their order."""

    lines: list[Line]
    committed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def done(self) -> None:
        """Say that all of them are on disk."""
        if not self.committed.done():
            self.committed.set_result(None)

    def fail(self, error: Exception) -> None:
        """Say why they are not."""
        if not self.committed.done():
            self.committed.set_exception(error)


Write = Callable[[list[Line]], Awaitable[None]]


async def store_each(items: Sequence[Waiting], write: Write, is_sound: Callable[[], Awaitable[bool]]) -> None:
    """Commit `items`, as many in one write as the API server takes.

    A batch that it refuses for good is halved until the entry that it means is found; that one's `append` fails, the
    others go on. `is_sound` tells whether it takes a write with nothing new in it: if not, the refusal is about no
    entry, and what waits is tried again for as long as it takes.
    """
    if not items:
        return
    try:
        await write([line for item in items for line in item.lines])
    except SegmentRefusedError:
        if len(items) == 1:
            await _store_one(items[0], write, is_sound)
        else:
            await store_each(items[: len(items) // 2], write, is_sound)
            await store_each(items[len(items) // 2 :], write, is_sound)
    else:
        for item in items:
            item.done()


async def _store_one(item: Waiting, write: Write, is_sound: Callable[[], Awaitable[bool]]) -> None:
    """Commit one item entry by entry, up to the one that is refused.

    What an earlier write of several entries has stored already is stored twice, which reading takes for once.
    """
    for number, line in enumerate(item.lines):
        if (refusal := await _store_line(line, write, is_sound)) is not None:
            log.error("journal entry refused", uid=line.uid, sequence=line.sequence, error=str(refusal))
            item.fail(EntryRefusedError(str(refusal), number))
            return
    item.done()


async def _store_line(line: Line, write: Write, is_sound: Callable[[], Awaitable[bool]]) -> SegmentRefusedError | None:
    """Commit one entry; return the refusal that is about it.

    It is blamed when it is refused before and after a write that was taken: a policy may just have been lifted.
    """
    backoff = Backoff(initial=0.1, maximum=5.0)
    suspected = False
    while True:
        try:
            await write([line])
        except SegmentRefusedError as refusal:
            is_taken = await is_sound()
            if suspected and is_taken:
                return refusal
            suspected = is_taken
            if not is_taken:
                log.error("journal write refused, trying again", error=str(refusal))
                await asyncio.sleep(backoff.next())
        else:
            return None


def parts_of(lines: list[Line]) -> Iterator[list[Line]]:
    """Split lines into parts of at most `WRITE_BYTES`; a single line is never split."""
    part: list[Line] = []
    size = 0
    for line in lines:
        if part and size + line.size > WRITE_BYTES:
            yield part
            part, size = [], 0
        part.append(line)
        size += line.size
    if part:
        yield part
