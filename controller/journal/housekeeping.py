"""What the journal needs besides its entries: the head kept up, segments deleted. No commit waits for any of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.runtime import metrics
from app.runtime.logging import get_logger
from controller.journal.format import Segment
from controller.journal.head import Head, HeadStore
from controller.journal.store import DeposedError, SegmentStore, WoundBackError

log = get_logger(__name__)

HEARTBEAT = 30.0
"""Seconds after which the head says again that its leader is alive."""
PAUSE = 0.2
"""Seconds between two rounds: many new segments are told of in one write."""
LAST_WORD = 0.5
"""Seconds that a write at the end of the process may take."""


class Housekeeping:
    """Writes the head and deletes segments, in this order: what the head does not name any more may go."""

    def __init__(
        self, segments: SegmentStore, heads: HeadStore, unleased: HeadStore, now: Callable[[], datetime]
    ) -> None:
        self._segments = segments
        self._heads = heads
        self._unleased = unleased
        self._now = now
        self._head: Head | None = None
        self._doomed: list[Segment] = []
        self._taken_over = False
        self._wake = asyncio.Event()

    async def begin(self, head: Head) -> None:
        """Store the head of a journal that has just been claimed. Raises `DeposedError`, `KubeError`."""
        self._head = head
        await self._write()

    def take_over(self) -> None:
        """Say that every run under way has been told what to believe of its past; the head lives from now on."""
        if self._head is None or self._taken_over:
            return
        now = self._now()
        self._head = replace(self._head, since=now, alive=now, ended_in_order=False, unsure="")
        self._taken_over = True
        self._wake.set()

    def cover(self, covered: Mapping[str, int]) -> None:
        """Take note of the entries that statuses include; told with the next write, whatever causes that."""
        if self._head is not None and self._taken_over:
            self._head = replace(self._head, covered=covered)

    def name(self, numbers: Iterable[int]) -> None:
        """Take note of the segments that exist."""
        if self._head is not None and (named := tuple(numbers)) != self._head.segments:
            self._head = replace(self._head, segments=named)
            self._wake.set()

    def doom(self, segments: Iterable[Segment]) -> None:
        """Have segments deleted that nobody needs and that are not named any more."""
        self._doomed += segments
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. Raises `DeposedError`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
            self._wake.clear()
            metrics.loop_iterations_total.labels(loop="journal-housekeeping").inc()
            doomed, self._doomed = self._doomed, []
            try:
                await self._beat()
                await self._delete(doomed)
            except KubeError as error:
                self._doomed = doomed + self._doomed
                log.warning("journal housekeeping is late", error=str(error), doomed=len(self._doomed))
            await asyncio.sleep(PAUSE)

    async def good_bye(self, newest: Segment) -> None:
        """Say that this leader ends in order: nothing that was under way has ended its process.

        `newest` is the last segment: when that or the head is older than it was, the next leader is told so instead.
        Tries for as long as it takes.
        """
        while self._head is not None and self._taken_over:
            try:
                await self._segments.demand_current(newest)
                self._head = replace(self._head, alive=self._now(), ended_in_order=True)
                await self._write()
            except WoundBackError as error:
                await self.mark_unsure(str(error))
            except KubeError as error:
                log.debug("no last word yet", error=str(error))
                await asyncio.sleep(PAUSE)
                continue
            return

    async def mark_unsure(self, why: str) -> None:
        """Tell the next leader that what is stored is older than what has happened. Tries for as long as it takes.

        A leader of a later epoch has taken over what there is: what it left of this one's journal is no backup, and its
        head is its own.
        """
        own = self._head.header.epoch if self._head is not None else 0
        while True:
            try:
                live = await self._unleased.read()
                if live is not None and live.header.epoch <= own:
                    await self._unleased.write(replace(live, unsure=why))
            except KubeError as error:
                log.debug("nobody is told yet that the journal went back in time", error=str(error))
                await asyncio.sleep(PAUSE)
            else:
                return

    async def _beat(self) -> None:
        if self._head is not None and self._taken_over:
            self._head = replace(self._head, alive=self._now())
        await self._write()

    async def _write(self) -> None:
        """Store the head over whatever an own write without answer, or somebody's hand, has left of it."""
        while (head := self._head) is not None:
            try:
                await self._heads.write(head)
            except (Conflict, AlreadyExists, NotFound):
                live = await self._heads.read()
                if live is not None and live.header != head.header and live.header.epoch >= head.header.epoch:
                    raise DeposedError(
                        f"the journal was claimed by {live.header.leader} (epoch {live.header.epoch})"
                    ) from None
            else:
                return

    async def _delete(self, doomed: list[Segment]) -> None:
        """Delete what was doomed before the head was written last; what is gone leaves the list."""
        while doomed:
            await self._segments.delete(doomed[0])
            doomed.pop(0)
