"""One step of a run: what happened becomes events in an order that matters, and what may start follows."""

from __future__ import annotations

from dataclasses import replace

from app.engine.decide import Start
from app.engine.definition import Address
from app.engine.doubt import Suspension, Takeover
from app.engine.events import (
    ActionFinished,
    ActionStarted,
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    ObjectsMade,
    RunResumed,
    RunSuspended,
)
from app.engine.fold import fold_all
from app.engine.outcome import Failed, Outcome, Succeeded
from app.engine.step import Inbox, Inherited, Step, begin, look_only_after, step
from app.engine.tree import action_at
from app.models.actions import RetryPolicy
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from app.models.phases import Phase
from app.models.suspension import Reason
from tests.unit.engine.runs import Player, after, definition_of, flow, http, stage

A, B = Address(0, 0, 0), Address(0, 0, 1)
FLAKY = Failed("503", retryable=True)
REFUSED = Suspension("the record is refused", Reason.RECORD_REFUSED)


def player(*, started: bool = True) -> Player:
    """Two actions, one after the other, of which the first may be repeated."""
    flaky = http("a", retry=RetryPolicy(limit=3))
    return Player(definition_of(stage("one", flow(flaky, http("b", "a")))), idle=not started)


def taken(run: Player, inbox: Inbox, *, may_start: bool = True) -> Step:
    decided = step(
        run.definition,
        run.status,
        inbox,
        after(1),
        execution=("ns", "e"),
        jitter=lambda: 0.0,
        may_start=may_start,
    )
    assert fold_all(run.definition, run.status, decided.events) == decided.status
    return decided


def kinds(decided: Step) -> list[type]:
    return [type(event) for event in decided.events]


def test_nothing_happened_but_something_may_start() -> None:
    run = player(started=False)
    decided = taken(run, Inbox())
    assert (decided.events, decided.status, decided.starts) == ((), run.status, (Start(A, 1),))
    begun = begin(run.definition, decided, decided.starts, after(1))
    assert begun.events == (ActionStarted(after(1), A, 1),)
    assert begun.status == fold_all(run.definition, run.status, begun.events)


def test_who_may_not_start_still_records_what_ended() -> None:
    decided = taken(player(), Inbox({A: Succeeded("done")}), may_start=False)
    assert (kinds(decided), decided.starts) == ([ActionFinished], ())


def test_what_an_attempt_has_made_is_recorded_unless_its_end_records_it() -> None:
    made = ActionOutputs(job_ref=CoreReference(kind="Job", namespace="ns", name="j", uid="1"))
    decided = taken(player(), Inbox(made={A: made}))
    assert decided.events == (ObjectsMade(after(1), A, made),)
    assert action_at(decided.status, A).outputs == made
    assert kinds(taken(player(), Inbox({A: Succeeded("done")}, made={A: made}))) == [ActionFinished]
    assert kinds(taken(player(), Inbox(made={A: made}, cancel="by hand"))) == [CancelRequested, ObjectsMade]
    assert kinds(taken(player(started=False), Inbox(made={A: made}))) == []


def test_only_starts_that_have_a_slot_are_intended() -> None:
    run = player()
    decided = taken(run, Inbox({A: Succeeded("done")}))
    assert decided.starts == (Start(B, 1),)
    begun = begin(run.definition, decided, (), after(1))
    assert (begun.events, begun.status, begun.starts) == (decided.events, decided.status, ())


def test_a_cancel_comes_before_the_results_and_so_nothing_is_repeated() -> None:
    assert kinds(taken(player(), Inbox({A: FLAKY}))) == [AttemptFailed]
    decided = taken(player(), Inbox({A: FLAKY}, cancel="by hand"))
    assert kinds(decided) == [CancelRequested, ActionFinished]
    assert decided.status.phase is Phase.CANCELLED
    assert decided.starts == ()


def test_a_cancel_is_recorded_once() -> None:
    run = player()
    run.fold(CancelRequested(after(0), "by hand"))
    assert taken(run, Inbox(cancel="again")).events == ()


def test_what_was_only_looked_at_and_not_found_is_cancelled() -> None:
    decided = taken(player(), Inbox({A: FLAKY}, looked_at={A}, cancel="by hand"))
    [_, end] = decided.events
    assert isinstance(end, ActionFinished)
    assert end.phase is Phase.CANCELLED
    assert taken(player(), Inbox({A: Succeeded("seen")}, looked_at={A}, cancel="x")).events[1] == ActionFinished(
        after(1), A, Phase.SUCCEEDED, "seen"
    )


def test_a_suspension_is_recorded_behind_the_results_and_starts_nothing() -> None:
    decided = taken(player(), Inbox({A: Succeeded("done")}, suspension=REFUSED))
    assert kinds(decided) == [ActionFinished, RunSuspended]
    assert decided.status.phase is Phase.UNKNOWN
    assert decided.starts == ()


def test_a_run_that_is_cancelled_does_not_stand_still() -> None:
    assert RunSuspended not in kinds(taken(player(), Inbox(cancel="by hand", suspension=REFUSED)))


def test_an_answer_lets_a_run_go_on_only_if_it_stands_still() -> None:
    run = player()
    assert taken(run, Inbox(answer="true")).events == ()
    run.fold(RunSuspended(after(0), "why"))
    assert kinds(taken(run, Inbox(answer="true"))) == [RunResumed]


def test_who_does_not_know_whether_it_was_done_asks() -> None:
    lost = Failed("the connection broke", undecided=True)
    decided = taken(player(), Inbox({A: lost}))
    assert kinds(decided) == [AttemptFailed, RunSuspended]
    suspended = decided.events[-1]
    assert isinstance(suspended, RunSuspended)
    assert suspended.reason is Reason.OUTCOME_UNKNOWN
    assert "kubectl annotate drpe e -n ns" in suspended.message


def test_refused_outcomes_wait_until_somebody_lets_the_run_go_on() -> None:
    done: dict[Address, Outcome] = {A: Succeeded("done", ActionOutputs(http_response=None))}
    waiting = taken(player(), Inbox(withheld=done, suspension=REFUSED))
    assert (kinds(waiting), waiting.withheld, waiting.again) == ([RunSuspended], done, True)
    run = player()
    run.fold(RunSuspended(after(0), "why"))
    assert taken(run, Inbox(withheld=done)).withheld == done
    resumed = taken(run, Inbox(withheld=done, answer="true"))
    assert (kinds(resumed), resumed.withheld, resumed.concluded) == ([RunResumed, ActionFinished], {}, done)


def test_in_a_cancel_refused_outcomes_are_recorded_without_outputs() -> None:
    done: dict[Address, Outcome] = {A: Succeeded("done", ActionOutputs())}
    decided = taken(player(), Inbox(withheld=done, cancel="by hand"))
    end = decided.events[-1]
    assert isinstance(end, ActionFinished)
    assert end.outputs is None
    assert "(what it made could not be recorded) done" in end.message


def test_what_an_earlier_process_left_is_told_first() -> None:
    unsure = Takeover(Reason.JOURNAL_INCOMPLETE, "a segment is gone", was_cut_off=True)
    decided = taken(player(), Inbox(inherited=Inherited(unsure, (A,))))
    assert kinds(decided) == [AttemptInterrupted, RunSuspended]
    sure = replace(unsure, reason=None)
    assert kinds(taken(player(), Inbox(inherited=Inherited(sure, (A,)), cancel="x")))[0] is AttemptInterrupted


def test_what_is_in_doubt_is_only_looked_at_while_the_run_stands_still() -> None:
    suspended, resumed = RunSuspended(after(1), "why"), RunResumed(after(2))
    assert look_only_after([suspended], False)
    assert not look_only_after([suspended, resumed], False)
    assert look_only_after([ActionStarted(after(1), A, 1)], True)
