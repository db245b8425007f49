"""Conditions of an execution (decision D3) and the mark of a cancel."""

from __future__ import annotations

import pytest

from app.engine.abandon import abandoned
from app.engine.build import execute_definition
from app.engine.conditions import cancel_requested, set_condition, with_suspension
from app.engine.events import CancelRequested, RunResumed, RunSuspended
from app.engine.fold import end_run
from app.engine.outcome import Failed
from app.engine.revert import revert_definition
from app.models.actions import RetryPolicy
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase, StagePolicy
from app.models.suspension import Reason
from tests.unit.engine.runs import START, Player, after, definition_of, flow, http, revert_of, snapshot_of, stage


def conditions(status: DRPlanExecutionStatus) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in status.conditions}


def player() -> Player:
    return Player(definition_of(stage("one", flow("a"))))


def test_a_run_has_started() -> None:
    status = player().status
    assert conditions(status) == {"Started": ("True", "Started")}
    condition = status.conditions[0]
    assert (condition.last_transition_time, condition.observed_generation) == (START, 1)
    assert condition.message == "The run has started"


@pytest.mark.parametrize(
    ("failing", "cancelled", "expected"),
    [
        ("", False, {"Complete": "True", "Completed": "True", "Failed": "False", "Cancelled": "False"}),
        ("a", False, {"Complete": "False", "Completed": "True", "Failed": "True", "Cancelled": "False"}),
        ("", True, {"Complete": "False", "Completed": "True", "Failed": "False", "Cancelled": "True"}),
    ],
)
def test_an_end_can_be_waited_for(failing: str, cancelled: bool, expected: dict[str, str]) -> None:
    run = player()
    if cancelled:
        run.fold(CancelRequested(run.now, "Execution canceled by user"))
    status = run.play(failing)
    found = conditions(status)
    assert {type_: word for type_, (word, _) in found.items()} == {"Started": "True", **expected}
    reasons = {type_: found[type_][1] for type_ in expected}
    assert reasons == dict.fromkeys(expected, str(status.phase)) | ({"Failed": "ActionFailed"} if failing else {})
    true = next(type_ for type_, (word, _) in found.items() if word == "True" and type_ not in ("Started", "Completed"))
    messages = {condition.type: condition.message for condition in status.conditions}
    assert messages[true] == status.message
    assert len(set(messages.values())) == len(messages), "each says its own thing"
    assert cancel_requested(status) is cancelled


def test_each_condition_says_its_own_thing() -> None:
    run = Player(definition_of(stage("one", flow("a", "b")), stage("two", flow("c"))))
    messages = {condition.type: condition.message for condition in run.play("a").conditions}
    assert messages == {
        "Started": "The run has started",
        "Complete": "The run did not succeed; it ended Failed",
        "Completed": "The run ended Failed after 1s: 0 of 3 actions Succeeded, 1 Failed, 2 Skipped",
        "Failed": "Stage one failed: workflow ns/one-0 failed: action a failed: a broke",
        "Cancelled": "Nobody cancelled the run",
    }
    run = Player(definition_of(stage("one", flow("a"), flow("b"), parallel=True, policy=StagePolicy.CONTINUE)))
    run.end("a", Failed("broke"))
    run.fold(CancelRequested(run.now, "stop"))
    run.end("b")
    messages = {condition.type: condition.message for condition in run.status.conditions}
    assert messages["Failed"] == "The run was cancelled; before, 1 of its actions had failed"
    assert messages["Cancelled"] == "Execution canceled by user"
    assert messages["Completed"] == "The run ended Cancelled after 2s: 1 of 2 actions Succeeded, 1 Failed"


@pytest.mark.parametrize(
    ("outcome", "of_action", "of_run"),
    [
        (Failed("gone"), "ActionFailed", "ActionFailed"),
        (Failed("busy", retryable=True), "RetriesExhausted", "RetriesExhausted"),
        (Failed("timed out after 1s", timed_out=True), "TimedOut", "ActionTimedOut"),
    ],
)
def test_a_failed_run_has_the_reason_of_what_failed_first(outcome: Failed, of_action: str, of_run: str) -> None:
    once = RetryPolicy(limit=1, interval="1s")
    run = Player(definition_of(stage("one", flow("x"), flow(http("a", retry=once)), flow("b"), parallel=True)))
    run.end("a", outcome)
    if outcome.retryable:
        run.wait(10)
        run.end("a", outcome)
    assert run.action("a").reason == of_action
    run.end("b", Failed("later"))
    run.status = DRPlanExecutionStatus.from_wire(run.status.to_wire())
    run.end("x")
    assert conditions(run.status)["Failed"] == ("True", of_run)


def test_a_failed_revert_and_one_that_was_lost_have_reasons_of_their_own() -> None:
    snapshot = snapshot_of(stage("one", flow(http("a", rollback={"http": {"url": "http://site.invalid/"}}))))
    revert = Player(revert_definition(revert_of(snapshot, Player(execute_definition(snapshot)).play())))
    assert conditions(revert.play("a"))["Failed"] == ("True", "RollbackPartialFailed")
    assert conditions(abandoned(player().status, "why", after(1)))["Failed"] == ("True", "RunLost")
    nothing = Player(definition_of(stage("one", flow(http("a", when='mode == "install"'))), mode="delete"))
    assert conditions(nothing.status)["Failed"] == ("True", "NothingDone")
    unstarted = end_run(DRPlanExecutionStatus(), Phase.FAILED, "why", START)
    assert conditions(unstarted)["Failed"] == ("True", "StartRefused")
    said = {condition.type: condition.message for condition in unstarted.conditions}
    assert said["Completed"] == "The execution ended Failed before anything was run"


def test_a_cancel_is_marked_and_the_mark_outlasts_a_round_trip() -> None:
    run = player()
    assert not cancel_requested(run.status)
    run.fold(CancelRequested(after(5), "Execution canceled by user"))
    assert conditions(run.status)["Cancelled"] == ("False", "CancelRequested")
    assert cancel_requested(DRPlanExecutionStatus.from_wire(run.status.to_wire()))


def test_a_suspension_is_a_condition_and_so_is_its_end() -> None:
    run = player()
    run.fold(RunSuspended(after(1), "the API server does not answer"))
    assert conditions(run.status)["Suspended"] == ("True", "OutcomeUnknown")
    run.fold(RunResumed(after(2)))
    assert conditions(run.status)["Suspended"] == ("False", "Resumed")
    assert conditions(run.play())["Suspended"] == ("False", "Resumed")


def test_a_transition_time_changes_with_the_status_only() -> None:
    one = set_condition((), "Ready", "False", "Broken", "a", START, 1)
    two = set_condition(one, "Ready", "False", "BrokenElsewhere", "b", after(5), 2)
    assert (two[0].last_transition_time, two[0].reason, two[0].message) == (START, "BrokenElsewhere", "b")
    assert two[0].observed_generation == 2
    three = set_condition(two, "Ready", "True", "Fine", "c", after(9), 2)
    assert three[0].last_transition_time == after(9)


def test_conditions_of_others_are_left_alone_and_in_order() -> None:
    status = with_suspension(player().status, "why", after(1), reason=Reason.OUTCOME_UNKNOWN)
    again = set_condition(status.conditions, "Started", "True", "Started", "x", after(1), 1)
    assert [condition.type for condition in again] == ["Started", "Suspended"]
    assert again[1] == status.conditions[1]


def test_a_long_message_is_cut() -> None:
    condition = set_condition((), "Ready", "False", "Broken", "é" * 2000, START, 1)[0]
    assert len(condition.message.encode()) <= 1024


def test_phases_without_end_have_no_end_conditions() -> None:
    run = player()
    assert run.phase() is Phase.RUNNING
    assert not {"Complete", "Completed", "Failed"} & set(conditions(run.status))
