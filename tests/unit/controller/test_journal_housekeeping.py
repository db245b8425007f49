"""The order of the journal's housekeeping: a segment goes only after the head has stopped naming it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from app.kube.errors import ApiUnavailable, Conflict
from controller.journal import Header
from controller.journal.format import Segment
from controller.journal.head import Head
from controller.journal.housekeeping import Housekeeping
from controller.journal.store import DeposedError, WoundBackError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OWN = Header("me", 3)
HEAD = Head(OWN, segments=(1, 2, 3), since=NOW, alive=NOW)


class Store:
    """Remembers, in order, what was written and deleted. `before_write` runs before a head is taken."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.live: Head | None = None
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.conflicts = 0
        self.wound_back = False
        self.segment_is_older = False
        self.away = 0

    async def write(self, head: Head) -> None:
        if self.before_write is not None:
            await self.before_write()
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict(409, "Conflict", "changed")
        self.live = head
        self.done.append(head)

    async def read(self) -> Head | None:
        if self.wound_back:
            self.wound_back = False
            raise WoundBackError("older than seen")
        return self.live

    async def demand_current(self, segment: Segment) -> None:
        if self.segment_is_older:
            raise WoundBackError(f"{segment.name} is older")
        if self.away:
            self.away -= 1
            raise ApiUnavailable("away", server="s", in_doubt=False)

    async def delete(self, segment: Segment) -> None:
        self.done.append(segment.number)

    def housekeeping(self) -> Housekeeping:
        store: Any = self
        return Housekeeping(store, store, store, lambda: NOW)

    def named_when_deleted(self, number: int) -> bool:
        """Whether the head that was stored last still named a segment at the moment of its deletion."""
        heads = [item for item in self.done[: self.done.index(number)] if isinstance(item, Head)]
        return number in heads[-1].segments


def segment(number: int) -> Segment:
    return Segment(number, "1", OWN, [])


async def running(housekeeping: Housekeeping, until: Callable[[], bool]) -> None:
    task = asyncio.create_task(housekeeping.run())
    async with asyncio.timeout(5):
        while not until() and not task.done():
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_segment_doomed_while_the_head_is_written_waits_for_the_next_head() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)
    housekeeping.take_over()

    async def meanwhile() -> None:
        store.before_write = None
        housekeeping.name((2, 3))
        housekeeping.doom([segment(1)])

    store.before_write = meanwhile
    await running(housekeeping, lambda: 1 in store.done)
    assert not store.named_when_deleted(1)


async def test_what_cannot_be_written_deletes_nothing_yet() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)

    async def away() -> None:
        store.before_write = None
        housekeeping.doom([segment(2)])
        raise ApiUnavailable("away", server="s", in_doubt=True)

    store.before_write = away
    housekeeping.name((3,))
    housekeeping.doom([segment(1)])
    await running(housekeeping, lambda: 2 in store.done)
    assert [item for item in store.done if isinstance(item, int)] == [1, 2]
    assert not store.named_when_deleted(1)


async def test_an_own_head_that_somebody_touched_is_written_again() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    store.conflicts, store.live = 2, HEAD
    await housekeeping.begin(HEAD)
    assert store.done == [HEAD]


async def test_another_leaders_head_deposes() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    store.conflicts, store.live = 1, Head(Header("you", 4), segments=(), since=NOW, alive=NOW)
    with pytest.raises(DeposedError, match="claimed by you"):
        await housekeeping.begin(HEAD)


async def test_good_bye_is_said_by_a_leader_that_had_taken_over_only() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)
    await housekeeping.good_bye(segment(3))
    assert store.live == HEAD
    housekeeping.take_over()
    await housekeeping.good_bye(segment(3))
    assert store.live is not None
    assert store.live.ended_in_order


async def test_a_head_that_went_back_in_time_is_marked_for_the_next_leader() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)
    housekeeping.take_over()
    store.conflicts, store.wound_back = 1, True
    await housekeeping.good_bye(segment(3))
    assert store.live is not None
    assert (store.live.unsure, store.live.segments) == ("older than seen", (1, 2, 3))


async def test_a_segment_that_went_back_in_time_is_told_too() -> None:
    """The head may be the one of the backup: it is written seldom."""
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)
    housekeeping.take_over()
    store.segment_is_older = True
    await housekeeping.good_bye(segment(3))
    assert store.live is not None
    assert (store.live.unsure, store.live.ended_in_order) == ("drplan-journal-00000003 is older", False)


async def test_the_last_word_waits_for_an_api_server_that_comes_back() -> None:
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)
    housekeeping.take_over()
    store.away = 2
    await housekeeping.good_bye(segment(3))
    assert store.live is not None
    assert store.live.ended_in_order


async def test_a_deposed_leader_leaves_its_successors_head_alone() -> None:
    """The successor has deleted the segments that this one wrote last, which is no backup of etcd."""
    store = Store()
    housekeeping = store.housekeeping()
    await housekeeping.begin(HEAD)
    housekeeping.take_over()
    await running(housekeeping, lambda: len(store.done) > 1)
    successors = Head(Header("other", 4), segments=(4,), since=NOW, alive=NOW)
    store.live, store.segment_is_older = successors, True
    async with asyncio.timeout(5):
        await housekeeping.good_bye(segment(3))
    assert store.live == successors
    assert store.live.unsure == ""
