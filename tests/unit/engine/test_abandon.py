"""Ending a run that cannot be taken up again."""

from __future__ import annotations

from app.engine.abandon import abandoned
from app.engine.revert import target_problem
from app.models.execution import DRPlanExecutionStatus, execution_status_from_wire
from app.models.phases import Phase
from tests.unit.engine.runs import Player, after, definition_of, flow, nodes, phases, stage

WHY = "its snapshot was removed"


def interrupted() -> DRPlanExecutionStatus:
    player = Player(definition_of(stage("one", flow("a", "b", "c"), flow("d")), stage("two", flow("e"))))
    player.end("a")
    return player.status


def test_what_ran_failed_and_what_never_began_is_skipped() -> None:
    status = abandoned(interrupted(), WHY, after(60))
    assert phases(status) == {"a": "Succeeded", "b": "Failed", "c": "Skipped", "d": "Skipped", "e": "Skipped"}
    assert [one.phase for one in status.stage_statuses] == [Phase.FAILED, Phase.SKIPPED]
    assert [w.phase for w in status.stage_statuses[0].workflow_executions] == [Phase.FAILED, Phase.SKIPPED]
    assert (status.phase, status.message, status.completion_time) == (Phase.FAILED, WHY, after(60))
    assert {node.message for node in nodes(status) if node.phase is Phase.FAILED} == {WHY}
    assert {node.message for node in nodes(status) if node.phase is Phase.SKIPPED} == {f"Not started: {WHY}"}


def test_what_had_ended_stays_as_it_was() -> None:
    before = interrupted()
    after_it = abandoned(before, WHY, after(60))
    old, new = (s.stage_statuses[0].workflow_executions[0].action_statuses[0] for s in (before, after_it))
    assert old == new


def test_every_node_has_ended_with_times() -> None:
    for node in nodes(abandoned(interrupted(), WHY, after(60))):
        assert node.phase.is_final
        assert node.start_time is not None
        assert node.completion_time is not None
        assert node.duration


def test_its_end_can_be_waited_for() -> None:
    conditions = {c.type: c.status for c in abandoned(interrupted(), WHY, after(60)).conditions}
    assert conditions == {
        "Started": "True",
        "Complete": "False",
        "Completed": "True",
        "Failed": "True",
        "Cancelled": "False",
    }


def test_a_running_record_of_the_go_operator_is_ended_and_can_be_reverted() -> None:
    record = {
        "phase": "Running",
        "startTime": "2026-03-01T08:00:00Z",
        "stageStatuses": [
            {
                "name": "one",
                "phase": "Running",
                "workflowExecutions": [
                    {
                        "workflowRef": {"name": "w", "namespace": "ns"},
                        "phase": "Running",
                        "actionStatuses": [{"name": "a", "phase": "Succeeded"}, {"name": "b", "phase": "Running"}],
                    }
                ],
            },
            {"name": "two", "phase": "Pending"},
        ],
    }
    status = abandoned(execution_status_from_wire(record), WHY, after(60))
    assert phases(status) == {"a": "Succeeded", "b": "Failed"}
    assert [one.phase for one in status.stage_statuses] == [Phase.FAILED, Phase.SKIPPED]
    assert status.duration == "1m0s"
    assert target_problem("Execute", status, same_plan=True, target="ns/run-1") == ""


def test_a_run_without_lists_is_ended_as_well() -> None:
    status = abandoned(DRPlanExecutionStatus(phase=Phase.RUNNING), WHY, after(1))
    assert (status.phase, status.message, status.stage_statuses) == (Phase.FAILED, WHY, ())
