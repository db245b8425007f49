"""Appending by group commit: while one write is in flight, the events of all runs gather and travel in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.errors import KubeError
from app.kube.resources import CONFIG_MAPS
from app.kube.stream import EventType
from app.runtime import metrics
from app.runtime.groups import TaskGroup
from app.runtime.logging import get_logger
from controller.journal.format import SELECTOR, Entry, Header, Line, Segment, entries_by_run, size_of
from controller.journal.store import Deposed, SegmentStore

log = get_logger(__name__)

SEGMENT_BYTES = 8 * 1024
"""A segment whose needed entries have this size is followed by a new one: a small ConfigMap is written fastest."""
LARGE_SEGMENT_BYTES = 64 * 1024
"""The same where many runs write at once; in between, a segment may have the size of four writes."""
WRITE_BYTES = 256 * 1024
"""Most bytes of entries in one write: an object may have about 1 MiB."""
SYNC_SECONDS = 60.0
"""How long one try waits for the first list of the journal's watch."""
CARRY_FORWARD_SEGMENTS = 16
"""With more segments than this, entries that keep the oldest alive are written again at the end."""


class JournalClosed(Exception):  # noqa: N818 - a fact about this process, not a fault
    """The journal takes no more entries, because the process ends or was deposed."""


class Journal:
    """The one writer of the journal (design: invariants 1, 2 and 4).

    `claim` fences off an earlier leader and returns what its runs left; `run` writes until it is cancelled. An entry
    is kept until a status write covers it (`release`) or its run is over (`forget`).
    """

    def __init__(self, kube: KubeClient, namespace: str, identity: str) -> None:
        self._store = SegmentStore(kube, namespace)
        self._identity = identity
        self._header = Header(identity, 0)
        self._segments: list[Segment] = []
        self._fence = 0
        self._pending: list[tuple[list[Line], asyncio.Future[None]]] = []
        self._released: dict[str, int] = {}
        self._to_restore: set[int] = set()
        self._wake = asyncio.Event()
        self._closed = False
        self._watch = Cache(kube, CONFIG_MAPS, namespace=namespace, label_selector=SELECTOR, project=_metadata_only)
        self._watch.subscribe(self._on_segment)

    @property
    def epoch(self) -> int:
        """Number of this leader; each claim counts one up."""
        return self._header.epoch

    async def claim(self) -> dict[str, list[Entry]]:
        """Take the journal over and return each run's entries, by uid. Raises `DamagedSegmentError`, `KubeError`."""
        self._header, self._segments = await self._store.claim(self._identity)
        self._fence = self._segments[-1].number
        recovered = entries_by_run(self._segments)
        log.info(
            "journal claimed",
            epoch=self._header.epoch,
            segments=len(self._segments),
            entries=sum(len(entries) for entries in recovered.values()),
        )
        return recovered

    async def append(self, entries: Sequence[Entry]) -> None:
        """Commit `entries`; they are on disk when this returns. Raises `JournalClosed`."""
        if self._closed:
            raise JournalClosed("the journal is closed")
        committed = asyncio.get_running_loop().create_future()
        lines = [Line(entry.uid, entry.sequence, entry.line()) for entry in entries]
        self._pending.append((lines, committed))
        self._wake.set()
        await committed

    def entries(self, uid: str) -> list[Entry]:
        """Return what is committed of a run and may not be in its status, from memory."""
        mine = (replace(s, lines=[line for line in s.lines if line.uid == uid]) for s in self._segments)
        return entries_by_run(mine).get(uid, [])

    def release(self, uid: str, sequence: int) -> None:
        """Say that a status write covers the entries of a run up to `sequence`."""
        if sequence > self._released.get(uid, 0):
            self._released[uid] = sequence
            self._wake.set()

    def forget(self, uid: str) -> None:
        """Say that a run is over and everything about it is stored elsewhere."""
        self.release(uid, 2**62)

    async def run(self) -> None:
        """Write until cancelled. Raises `Deposed`, after which every waiting and later `append` fails."""
        try:
            async with TaskGroup() as group:
                group.create_task(self._watch.run(), name="journal/watch")
                group.create_task(self._notice_missing(), name="journal/missing")
                await self._write_loop()
        except* Deposed as deposed:
            raise deposed.exceptions[0] from None
        finally:
            self._close()

    async def _write_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            metrics.loop_iterations_total.labels(loop="journal").inc()
            await self._restore()
            await self._commit()
            await self._clean_up()
            metrics.journal_segments.set(len(self._segments))

    async def _commit(self) -> None:
        # whoever no longer waits has given up: what he wanted to happen must not be recorded
        batch, self._pending = [item for item in self._pending if not item[1].done()], []
        if not batch:
            return
        try:
            await self._write([line for lines, _ in batch for line in lines])
        except BaseException:
            self._pending = batch + self._pending
            raise
        for _, committed in batch:
            if not committed.done():
                committed.set_result(None)

    async def _write(self, lines: list[Line]) -> None:
        """Store lines at the end, in as many writes as keep every segment well below the size of an object."""
        for part in _parts(lines):
            await self._write_part(part)

    async def _write_part(self, lines: list[Line]) -> None:
        """Store lines in the last segment, in the place of those that are no longer needed, or in a new one."""
        last = self._segments[-1]
        kept = [line for line in last.lines if self._is_needed(line)]
        if kept and size_of(kept) >= min(max(SEGMENT_BYTES, 4 * size_of(lines)), LARGE_SEGMENT_BYTES):
            last = Segment(last.number + 1, "", self._header, lines)
            await self._store.write(last, is_new=True)
            self._segments.append(last)
        else:
            last.lines = kept + lines
            await self._store.write(last, is_new=False)

    async def _clean_up(self) -> None:
        """Delete whole segments whose entries are all covered; bounded, so that a commit never waits long.

        The one that the claim made stays: it keeps a deposed leader from going on under that number.
        """
        old = [segment for segment in self._segments[:-1] if segment.number != self._fence]
        for segment in [segment for segment in old if not any(map(self._is_needed, segment.lines))][:4]:
            try:
                await self._store.delete(segment)
            except KubeError as error:
                log.warning("journal segment cannot be deleted yet", segment=segment.name, error=str(error))
                return
            self._segments.remove(segment)
            old.remove(segment)
            self._wake.set()
        if len(old) > CARRY_FORWARD_SEGMENTS:
            await self._carry_forward(old)
        self._forget_unmentioned()

    async def _carry_forward(self, old: list[Segment]) -> None:
        """Write again at the end what keeps an old segment alive that is mostly covered; full ones stay as they are."""
        for segment in old:
            needed = [line for line in segment.lines if self._is_needed(line)]
            if size_of(needed) <= SEGMENT_BYTES // 2:
                await self._write(needed)
                segment.lines = []
                self._wake.set()
                return

    def _forget_unmentioned(self) -> None:
        mentioned = {line.uid for segment in self._segments for line in segment.lines}
        self._released = {uid: seq for uid, seq in self._released.items() if uid in mentioned or seq < 2**62}

    def _is_needed(self, line: Line) -> bool:
        return line.sequence > self._released.get(line.uid, 0)

    def _on_segment(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Notice a segment that somebody deleted by hand: what it held must not be lost (design: the journal)."""
        del new
        if event != "DELETED" or old is None:
            return
        number = next((s.number for s in self._segments if s.name == old["metadata"]["name"]), None)
        if number is not None:
            self._to_restore.add(number)
            self._wake.set()

    async def _notice_missing(self) -> None:
        """Restore what was deleted between the claim and the watch's first list, of which the watch tells nothing."""
        while not self._watch.synced:
            with suppress(KubeError):
                await self._watch.wait_synced(SYNC_SECONDS)
        listed = {item["metadata"]["name"] for item in self._watch.items()}
        self._to_restore |= {segment.number for segment in self._segments if segment.name not in listed}
        self._wake.set()

    async def _restore(self) -> None:
        numbers, self._to_restore = self._to_restore, set()
        for segment in [s for s in self._segments if s.number in numbers]:
            log.warning("journal segment was deleted by somebody, writing it again", segment=segment.name)
            await self._store.restore(segment)

    def _close(self) -> None:
        self._closed = True
        for _, committed in self._pending:
            if not committed.done():
                committed.set_exception(JournalClosed("the journal is closed"))
        self._pending = []


def _parts(lines: list[Line]) -> Iterator[list[Line]]:
    """Split lines into parts of at most `WRITE_BYTES`; a single line is never split."""
    part: list[Line] = []
    size = 0
    for line in lines:
        if part and size + len(line.text) > WRITE_BYTES:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line.text) + 1
    if part:
        yield part


def _metadata_only(config_map: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": config_map["metadata"]}
