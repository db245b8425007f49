"""Conditions of an execution (decision D3) and the mark of a cancel."""

from __future__ import annotations

import pytest

from app.engine.conditions import cancel_requested, set_condition, with_suspension
from app.engine.events import CancelRequested, RunResumed, RunSuspended
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.suspension import Reason
from tests.unit.engine.runs import START, Player, after, definition_of, flow, stage


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
    assert {found[type_][1] for type_ in expected} == {str(status.phase)}
    assert {c.message for c in status.conditions if c.type != "Started"} == {status.message}
    assert cancel_requested(status) is cancelled


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
