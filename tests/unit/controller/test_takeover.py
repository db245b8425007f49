"""What a new leader believes of the past of the runs under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.engine.doubt import GIVE_UP_AFTER, doubtful, taken_up
from app.engine.events import ActionFinished, ActionStarted, AttemptFailed, AttemptInterrupted, RunSuspended
from app.engine.tree import action_at
from app.models.phases import Phase
from app.models.suspension import Reason
from controller.journal import Header, Takeover
from controller.journal.head import Head, decode, encode
from controller.journal.takeover import OUTLIVED, judge
from controller.run.inheritance import Inheritance, under_way, with_gap
from tests.unit.engine.runs import Player, definition_of, flow, stage

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
HEAD = Head(Header("a", 3), segments=(4, 6, 7), since=NOW - timedelta(hours=5), alive=NOW - MINUTE)


def verdict(head: Head | None = HEAD, found: tuple[int, ...] = (4, 6, 7), newest: datetime | None = NOW) -> Takeover:
    return judge(head, found, newest, NOW, resume_within=HALF_HOUR)


def test_the_head_is_read_back() -> None:
    for head in (HEAD, replace(HEAD, unsure="why", ended_in_order=True, segments=(), covered={"u": 4})):
        assert decode(encode(head)) == head


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"leader": 1}', '{"epoch": "x"}', "null"])
def test_a_head_that_somebody_spoiled_is_none(text: str) -> None:
    assert decode(text) is None


def test_everything_there_is_trusted() -> None:
    assert verdict() == Takeover()
    assert verdict(found=(4, 5, 6, 7, 8)) == Takeover()  # one more: made a moment before its leader died


@pytest.mark.parametrize("found", [(), (4, 6), (6, 7), (4, 7)])
def test_a_segment_that_is_missing_is_told(found: tuple[int, ...]) -> None:
    told = verdict(found=found)
    assert told.reason is Reason.JOURNAL_INCOMPLETE
    assert "drplan-journal-0000000" in told.message


def test_a_journal_that_is_gone_whole_is_told() -> None:
    assert verdict(head=None, found=()).reason is Reason.JOURNAL_INCOMPLETE


def test_a_verdict_that_nobody_was_told_stays() -> None:
    told = verdict(head=replace(HEAD, unsure="etcd was restored"))
    assert (told.reason, told.message) == (Reason.JOURNAL_INCOMPLETE, "etcd was restored")


@pytest.mark.parametrize(("age", "is_old"), [(HALF_HOUR - MINUTE, False), (HALF_HOUR + MINUTE, True)])
def test_a_leader_that_was_away_for_long(age: timedelta, is_old: bool) -> None:
    told = verdict(head=replace(HEAD, alive=NOW - age))
    assert (told.reason is Reason.INTERRUPTED_LONG_AGO) is is_old
    assert ("--resume-within" in told.message) is is_old


def test_a_clock_that_is_behind_is_no_age() -> None:
    assert verdict(head=replace(HEAD, alive=NOW + timedelta(hours=1))) == Takeover()


@pytest.mark.parametrize(("hours", "is_old"), [(23, False), (25, True)])
def test_a_journal_of_an_earlier_release_has_no_head(hours: int, is_old: bool) -> None:
    told = verdict(head=None, newest=NOW - timedelta(hours=hours))
    assert (told.reason is Reason.INTERRUPTED_LONG_AGO) is is_old
    assert verdict(head=None, newest=None) == Takeover()


@pytest.mark.parametrize(
    ("lived", "in_order", "counts"),
    [(MINUTE, False, True), (MINUTE, True, False), (OUTLIVED + MINUTE, False, False)],
)
def test_only_a_leader_that_was_killed_soon_after_its_take_over_counts(
    lived: timedelta, in_order: bool, counts: bool
) -> None:
    head = replace(HEAD, since=HEAD.alive - lived, ended_in_order=in_order)
    assert verdict(head=head).was_cut_off is counts
    assert not verdict(head=None).was_cut_off


def running() -> Player:
    return Player(definition_of(stage("s", flow("a"))))


CUT_OFF = Takeover(was_cut_off=True)


def test_an_attempt_is_given_up_the_third_time() -> None:
    player = running()
    [address] = doubtful(player.status)
    for _ in range(GIVE_UP_AFTER - 1):
        [event] = taken_up(player.definition, player.status, [address], CUT_OFF, player.now)
        assert isinstance(event, AttemptInterrupted)
        player.fold(event)
    [event] = taken_up(player.definition, player.status, [address], CUT_OFF, player.now)
    assert isinstance(event, ActionFinished)
    assert (event.phase, event.address) == (Phase.FAILED, address)
    assert (
        "given up: the controller was ended 3 times in a row while attempt 1 of action a was under way" in event.message
    )


def test_a_new_attempt_counts_from_the_start() -> None:
    player = running()
    [address] = doubtful(player.status)
    player.fold(AttemptInterrupted(player.now, address))
    player.fold(AttemptFailed(player.now, address, "busy", player.now))
    player.fold(ActionStarted(player.now, address, 2))
    assert action_at(player.status, address).interruptions == 0


def test_a_run_of_unsure_past_is_suspended_once() -> None:
    player = running()
    unsure = Takeover(Reason.INTERRUPTED_LONG_AGO, "nobody led", was_cut_off=True)
    counted, told = taken_up(player.definition, player.status, doubtful(player.status), unsure, player.now)
    assert isinstance(counted, AttemptInterrupted)
    assert isinstance(told, RunSuspended)
    assert told.reason is Reason.INTERRUPTED_LONG_AGO
    for word in ("nobody led", 'dr.bkbcs.tencent.com/resume: "true"', 'dr.bkbcs.tencent.com/cancel: "true"'):
        assert word in told.message
    player.fold(told)
    assert player.status.phase is Phase.UNKNOWN
    assert taken_up(player.definition, player.status, [], unsure, player.now) == []


@pytest.mark.parametrize(
    ("included", "sequences", "once", "lost"),
    [
        (0, (), 0, 0),
        (2, (1, 2, 3, 4), 2, 0),
        (2, (3, 4), 4, 0),
        (2, (4,), 0, 3),
        (0, (1, 3), 0, 2),
        (0, (2, 3), 0, 1),
        (2, (), 5, 3),  # a status of an older backup, whose later entries were deleted as covered
        (2, (3,), 5, 4),
    ],
)
def test_a_gap_in_a_run_is_found(included: int, sequences: tuple[int, ...], once: int, lost: int) -> None:
    status = running().status.model_copy(update={"journal_sequence": included})
    told = with_gap(Takeover(covered={"uid-1": once, "other": 99}), "uid-1", status, sequences)
    assert (told.reason is Reason.JOURNAL_INCOMPLETE) is bool(lost)
    assert not lost or f"entry {lost} of this run is missing" in told.message


class FakeJournal:
    """The part of the journal that an inheritance needs."""

    def __init__(self, takeover: Takeover) -> None:
        self.takeover = takeover
        self.alive = 0

        self.looked = 0

    def take_over(self) -> None:
        self.alive += 1

    async def demand_current(self) -> None:
        self.looked += 1


async def test_the_head_lives_again_when_everybody_has_been_told() -> None:
    unsure = Takeover(Reason.JOURNAL_INCOMPLETE, "why")
    journal: Any = FakeJournal(unsure)

    async def of(uid: str) -> Takeover | None:
        return await inheritance.of(uid, running().status, ())

    inheritance = Inheritance(journal, ["a", "b"])
    assert (await of("a"), await of("c"), journal.alive) == (unsure, None, 0)
    inheritance.forget("a")
    assert (await of("a"), await of("b"), journal.alive) == (None, unsure, 0)
    inheritance.forget("b")
    assert (journal.alive, journal.looked) == (1, 2)
    for takeover, uids in ((Takeover(), ["a"]), (unsure, [])):
        sure: Any = FakeJournal(takeover)
        Inheritance(sure, uids)
        assert sure.alive == 1


def test_only_what_has_begun_and_not_ended_is_under_way() -> None:
    phases = ("Running", "Unknown", "Pending", "", "Succeeded", "Failed", "Cancelled")
    stored = [{"metadata": {"uid": phase}, "status": {"phase": phase}} for phase in phases]
    assert under_way([*stored, {"metadata": {"uid": "new"}}]) == ["Running", "Unknown"]
