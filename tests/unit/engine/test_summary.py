"""Counts of a status (invariant 9, decision D2)."""

from __future__ import annotations

from app.engine.build import execute_definition
from app.engine.events import CancelRequested
from app.engine.summary import summarize
from app.models.execution import DRPlanExecutionStatus, ExecutionSummary
from app.models.phases import PlanPolicy
from tests.unit.engine.runs import Player, definition_of, flow, http, snapshot_of, stage

NEVER = 'mode == "delete"'


def test_counts_in_the_middle_of_a_run() -> None:
    player = Player(
        definition_of(
            stage("one", flow("a")),
            stage("two", flow("b", http("c", when=NEVER), "d"), flow(http("e", when=NEVER)), parallel=True),
            stage("three", flow("f")),
            stage("four", flow("g"), depends_on=("one",)),
            policy=PlanPolicy.CONTINUE,
        )
    )
    player.end("a")
    status = summarize(player.status)
    assert status.progress == "1/7"
    assert status.summary == ExecutionSummary(
        total_stages=4,
        completed_stages=1,
        succeeded_stages=1,
        running_stages=1,
        pending_stages=2,
        total_workflows=5,
        completed_workflows=1,
        running_workflows=1,
        skipped_workflows=1,
        pending_workflows=2,
        total_actions=7,
        completed_actions=2,
        succeeded_actions=1,
        skipped_actions=1,
        running_actions=1,
        pending_actions=4,
    )


def test_counts_at_the_end_of_a_failed_run() -> None:
    player = Player(definition_of(stage("one", flow("a", "b")), stage("two", flow("c"), depends_on=("one",))))
    status = summarize(player.play(failing="a"))
    assert status.progress == "0/3"
    assert status.summary == ExecutionSummary(
        total_stages=2,
        failed_stages=1,
        skipped_stages=1,
        total_workflows=2,
        failed_workflows=1,
        skipped_workflows=1,
        total_actions=3,
        completed_actions=3,
        failed_actions=1,
        skipped_actions=2,
    )


def test_counts_of_a_cancelled_run() -> None:
    player = Player(definition_of(stage("one", flow("a", "b"))))
    player.fold(CancelRequested(player.now, "stop"))
    player.end("a")
    summary = summarize(player.status).summary
    assert summary is not None
    assert (summary.cancelled_stages, summary.cancelled_workflows, summary.cancelled_actions) == (1, 1, 0)
    assert (summary.succeeded_actions, summary.skipped_actions) == (1, 1)


def test_the_ten_counters_of_the_go_operator_are_written_as_before() -> None:
    snapshot = snapshot_of(stage("one", flow("a")))
    wire = summarize(Player(execute_definition(snapshot)).play()).to_wire()["summary"]
    assert wire == {
        "totalStages": 1,
        "completedStages": 1,
        "succeededStages": 1,
        "totalWorkflows": 1,
        "completedWorkflows": 1,
        "totalActions": 1,
        "completedActions": 1,
        "succeededActions": 1,
    }


def test_a_status_without_lists_counts_nothing() -> None:
    status = summarize(DRPlanExecutionStatus())
    assert (status.summary, status.progress) == (ExecutionSummary(), "0/0")


def test_counting_twice_is_counting_once() -> None:
    status = summarize(Player(definition_of(stage("one", flow("a")))).status)
    assert summarize(status) == status
