"""Appending by group commit: while one write is in flight, the events of all runs gather and travel in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.engine.doubt import Takeover
from app.kube.client import KubeClient
from app.kube.errors import Invalid, KubeError
from app.kube.resources import CONFIG_MAPS
from app.models.stored import members
from app.models.suspension import Reason
from app.runtime import metrics
from app.runtime.groups import TaskGroup, first_error
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from controller.journal.batch import Waiting, parts_of, store_each
from controller.journal.format import DAMAGED, Entry, Header, Line, Segment, entries_by_run, size_of
from controller.journal.guard import Guard
from controller.journal.head import Head, HeadStore
from controller.journal.housekeeping import LAST_WORD, PAUSE, Housekeeping
from controller.journal.store import DeposedError, SegmentRefusedError, SegmentStore, WoundBackError
from controller.journal.takeover import judge

log = get_logger(__name__)

SEGMENT_BYTES = 8 * 1024
"""A segment whose needed entries have this size is followed by a new one: a small ConfigMap is written fastest."""
LARGE_SEGMENT_BYTES = 64 * 1024
"""The same where many runs write at once; in between, a segment may have the size of four writes."""
FULL_SEGMENT_BYTES = 512 * 1024
"""The size to which a segment may grow where the API server refuses to make another one."""
FORGOTTEN = 2**62
"""The sequence up to which all entries of a run that is over are covered."""
MARK_SECONDS = 2.0
"""How long telling the next leader that etcd was restored may take; a process that no longer leads has to end soon."""
CARRY_FORWARD_SEGMENTS = 16
"""With more segments than this, entries that keep the oldest alive are written again at the end."""

RESUME_WITHIN = timedelta(minutes=30)
"""How long nobody may have led for runs under way to go on by themselves."""
BEHIND = "the cluster is behind what a controller has seen of it: etcd was restored from a backup"


class JournalClosedError(Exception):
    """The journal takes no more entries, because the process ends or was deposed."""


class Journal:
    """The one writer of the journal (invariants 1, 2 and 4).

    `claim` fences off an earlier leader and returns what its runs left; `run` writes until it is cancelled. An entry
    is kept until a status write covers it (`release`) or its run is over (`forget`). `unleased` writes without lease
    time: only that the journal went back in time, which a process tells that has just lost its lease by it.
    """

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        identity: str,
        *,
        unleased: KubeClient | None = None,
        resume_within: timedelta = RESUME_WITHIN,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.takeover = Takeover()
        """What the claim has found out about the past of the runs under way."""
        self._kube = kube
        self._namespace = namespace
        self._store = SegmentStore(kube, namespace)
        self._heads = HeadStore(kube, namespace)
        self._housekeeping = Housekeeping(self._store, self._heads, HeadStore(unleased or kube, namespace), now)
        self._identity = identity
        self._resume_within = resume_within
        self._now = now
        self._header = Header(identity, 0)
        self._segments: list[Segment] = []
        self._fence = 0
        self._pending: list[Waiting] = []
        self._released: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self._deposed = False
        self._guard = Guard(kube, namespace, self._store, lambda: self._segments, self._wake.set)

    @property
    def epoch(self) -> int:
        """Number of this leader; each claim counts one up."""
        return self._header.epoch

    async def claim(self, *, known_revision: int = 0) -> dict[str, list[Entry]]:
        """Take the journal over and return each run's entries, by uid.

        `known_revision` is the newest resourceVersion that this process has seen of anything: an API server that is
        behind it was restored from a backup. Raises `KubeError`, and
        `DamagedSegmentError` at what a later version wrote.
        """
        head = await self._heads.read()
        await self._find_unlabelled(head)
        self._header, self._segments = await self._store.claim(
            self._identity, after=head.header if head else None, number=head.last if head else 0
        )
        self._fence = self._segments[-1].number
        recovered = entries_by_run(self._segments)
        newest = max((entry.event.at for entries in recovered.values() for entry in entries), default=None)
        now = self._now()
        damaged = [f"ConfigMap {segment.name}: {segment.damage}" for segment in self._segments if segment.damage]
        self.takeover = judge(head, self._store.found, newest, now, resume_within=self._resume_within, damaged=damaged)
        if self.takeover.reason is None and known_revision > await self._revision():
            self.takeover = replace(self.takeover, reason=Reason.JOURNAL_INCOMPLETE, message=BEHIND)
        await self._housekeeping.begin(self._new_head(head, newest or now, now))
        log.info(
            "journal claimed",
            epoch=self._header.epoch,
            segments=len(self._segments),
            entries=sum(len(entries) for entries in recovered.values()),
        )
        return recovered

    async def _find_unlabelled(self, head: Head | None) -> None:
        """Give segments their label back that somebody took off while nobody led: no list shows them."""
        listed = {segment.number for segment in await self._store.read_all()} if head else set()
        for number in [number for number in head.segments if number not in listed] if head else ():
            segment = await self._store.read_unlabelled(number)
            if segment is not None:
                log.warning("journal segment had lost its label", segment=segment.name)
                with suppress(Invalid):  # made immutable, too: it is missing, which is told
                    await self._store.relabel(segment)

    async def _revision(self) -> int:
        found = await self._kube.list(CONFIG_MAPS, namespace=self._namespace, limit=1)
        version = str(members(found.get("metadata")).get("resourceVersion", ""))
        return int(version) if version.isdecimal() else 0

    def _new_head(self, old: Head | None, newest: datetime, now: datetime) -> Head:
        """Return the head of this leader, which says what the old one said until the take-over is complete."""
        is_unsure = self.takeover.reason is Reason.JOURNAL_INCOMPLETE
        return Head(
            header=self._header,
            segments=tuple(segment.number for segment in self._segments),
            since=old.since if old else now,
            alive=old.alive if old else newest if self.takeover.reason else now,
            ended_in_order=old.ended_in_order if old else True,
            covered=old.covered if old else {},
            unsure=self.takeover.message if is_unsure else "",
        )

    def take_over(self) -> None:
        """Say that every run under way has been told what to believe of its past (see `takeover`)."""
        self.forget(DAMAGED)
        self._housekeeping.take_over()

    async def leave(self) -> None:
        """Say, at the end of a process that still leads, that it ended in order; takes half a second at most."""
        if self._deposed:
            return
        try:
            async with asyncio.timeout(LAST_WORD):
                await self._housekeeping.good_bye(self._segments[-1])
        except (KubeError, DeposedError, TimeoutError) as error:
            log.warning("the journal does not say that its leader ended in order", error=str(error))

    async def look_back(self) -> None:
        """At the end of a process that lost its lease, tell the next leader if etcd was restored; seconds at most."""
        with suppress(DeposedError, TimeoutError):
            async with asyncio.timeout(MARK_SECONDS):
                while not self._deposed:
                    try:
                        await self.demand_current()
                    except KubeError:
                        await asyncio.sleep(PAUSE)
                    else:
                        return

    @property
    def closed(self) -> bool:
        """Whether the journal takes no more entries, because the process ends or was deposed."""
        return self._closed

    async def confirm(self) -> None:
        """Look whether this process still leads the journal, once it does. Raises `DeposedError`, `KubeError`."""
        if self._header.epoch:
            await self._store.confirm()
            await self.demand_current()

    async def append(self, entries: Sequence[Entry]) -> None:
        """Commit `entries` of one run; they are on disk when this returns.

        Raises `JournalClosedError` and `EntryRefusedError`.
        """
        if self._closed:
            raise JournalClosedError("the journal is closed")
        item = Waiting([Line(entry.uid, entry.sequence, entry.line()) for entry in entries])
        self._pending.append(item)
        self._wake.set()
        await item.committed

    async def demand_lead(self) -> None:
        """Raise `DeposedError` when the journal says that another leader has taken over. A quorum read."""
        await self._store.demand_not_deposed(Backoff(initial=0.1, maximum=5.0))

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
        self.release(uid, FORGOTTEN)

    async def run(self) -> None:
        """Write until cancelled. Raises `DeposedError`, after which every waiting and later `append` fails."""
        try:
            async with TaskGroup() as group:
                group.create_task(self._guard.watch(), name="journal/watch")
                group.create_task(self._guard.notice_missing(), name="journal/missing")
                group.create_task(self._housekeeping.run(), name="journal/housekeeping")
                await self._write_loop()
        except* DeposedError as deposed:
            self._deposed = True
            await self._tell_why(_first(deposed))
            raise _first(deposed) from None
        finally:
            self._close()

    async def demand_current(self) -> None:
        """See whether etcd is that of the last write. Raises `WoundBackError`, which ends the process, `KubeError`."""
        while True:
            newest = self._segments[-1]
            try:
                await self._store.demand_current(newest)
            except WoundBackError as error:
                if newest is not self._segments[-1]:
                    continue  # it was superseded meanwhile, and may be deleted by now
                self._deposed = True
                await self._tell_why(error)
                raise
            return

    async def _tell_why(self, deposed: DeposedError) -> None:
        """Leave word for the next leader when etcd was restored under this one."""
        if isinstance(deposed, WoundBackError):
            with suppress(KubeError, DeposedError, TimeoutError):
                async with asyncio.timeout(MARK_SECONDS):
                    await self._housekeeping.mark_unsure(str(deposed))

    async def _write_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            metrics.loop_iterations_total.labels(loop="journal").inc()
            await self._guard.put_right()
            await self._commit()
            await self._clean_up()
            self._housekeeping.cover({uid: seq for uid, seq in self._released.items() if seq < FORGOTTEN})
            self._housekeeping.name(segment.number for segment in self._segments)
            metrics.journal_segments.set(len(self._segments))

    async def _commit(self) -> None:
        # whoever no longer waits has given up: what he wanted to happen must not be recorded
        batch, self._pending = [item for item in self._pending if not item.committed.done()], []
        try:
            await store_each(batch, self._write, self._is_sound)
        except BaseException:
            self._pending = batch + self._pending
            raise

    async def _is_sound(self) -> bool:
        """Tell whether the API server takes the last segment as it is; if not, a refusal is about no entry."""
        try:
            await self._store.write(self._segments[-1], is_new=False)
        except SegmentRefusedError:
            return await self._is_new_one_taken()
        return True

    async def _is_new_one_taken(self) -> bool:
        """Go on in a new segment, where the last one is refused for what it is (made immutable, against a policy)."""
        try:
            await self._begin_segment([])
        except SegmentRefusedError:
            return False
        return True

    async def _write(self, lines: list[Line]) -> None:
        """Store lines at the end, in as many writes as keep every segment well below the size of an object."""
        for part in parts_of(lines):
            await self._write_part(part)

    async def _write_part(self, lines: list[Line]) -> None:
        """Store lines in the last segment, in the place of those that are no longer needed, or in a new one.

        Where no new one can be made (a quota), the last one is filled up further. Raises `SegmentRefusedError`.
        """
        last = self._segments[-1]
        kept = [line for line in last.lines if self._is_needed(line)]
        if kept and size_of(kept) >= min(max(SEGMENT_BYTES, 4 * size_of(lines)), LARGE_SEGMENT_BYTES):
            try:
                await self._begin_segment(lines)
            except SegmentRefusedError:
                if size_of(kept) + size_of(lines) > FULL_SEGMENT_BYTES:
                    raise
            else:
                return
        before, last.lines = last.lines, kept + lines
        try:
            await self._store.write(last, is_new=False)
        except SegmentRefusedError:
            last.lines = before
            raise

    async def _begin_segment(self, lines: list[Line]) -> None:
        fresh = Segment(self._segments[-1].number + 1, "", self._header, lines)
        await self._store.write(fresh, is_new=True)
        self._segments.append(fresh)

    async def _clean_up(self) -> None:
        """Have whole segments deleted whose entries are all covered, without waiting for it.

        The one that the claim made stays: it keeps a deposed leader from going on under that number.
        """
        old = [segment for segment in self._segments[:-1] if segment.number != self._fence]
        covered = [segment for segment in old if not any(map(self._is_needed, segment.lines))]
        if covered:
            self._segments = [segment for segment in self._segments if segment not in covered]
            self._housekeeping.name(segment.number for segment in self._segments)
            self._housekeeping.doom(covered)
        if len(old) - len(covered) > CARRY_FORWARD_SEGMENTS:
            await self._carry_forward([segment for segment in old if segment not in covered])
        self._forget_unmentioned()

    async def _carry_forward(self, old: list[Segment]) -> None:
        """Write again at the end what keeps an old segment alive that is mostly covered; full ones stay as they are."""
        for segment in old:
            needed = [line for line in segment.lines if self._is_needed(line)]
            if size_of(needed) <= SEGMENT_BYTES // 2:
                try:
                    await self._write(needed)
                except SegmentRefusedError as refusal:
                    log.warning("journal segment stays as it is", segment=segment.name, error=str(refusal))
                    return
                segment.lines = []
                self._wake.set()
                return

    def _forget_unmentioned(self) -> None:
        mentioned = {line.uid for segment in self._segments for line in segment.lines}
        self._released = {uid: seq for uid, seq in self._released.items() if uid in mentioned or seq < FORGOTTEN}

    def _is_needed(self, line: Line) -> bool:
        return line.sequence > self._released.get(line.uid, 0)

    def _close(self) -> None:
        self._closed = True
        for item in self._pending:
            item.fail(JournalClosedError("the journal is closed"))
        self._pending = []


def _first(group: BaseExceptionGroup[DeposedError]) -> DeposedError:
    found = first_error(group)
    assert isinstance(found, DeposedError)
    return found
