"""What a status keeps through a restart, after which another process goes on from what is stored."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.engine.decide import decide
from app.engine.outcome import Failed
from app.models.actions import RetryPolicy
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase, StagePolicy, WorkflowPolicy
from tests.unit.engine.runs import Player, definition_of, flow, http, stage

PATIENT = RetryPolicy(limit=9, interval="5s")


def restart(player: Player) -> None:
    """Go on from what is stored."""
    player.status = DRPlanExecutionStatus.from_wire(player.status.to_wire())


def test_of_two_failures_within_one_second_the_first_is_blamed() -> None:
    actions = [http(name) for name in ("late", "early", "last")]
    player = Player(definition_of(stage("one", *(flow(action) for action in actions), parallel=True)))
    player.end("early", Failed("the cause"), seconds=1.2)
    player.end("late", Failed("what followed"), seconds=0.5)
    restart(player)
    player.end("last")
    assert player.status.message == "Stage one failed: action early failed: the cause"


def test_it_is_blamed_within_a_workflow_and_among_stages_as_well() -> None:
    graph = flow(http("late"), http("early"), http("x", "late"), policy=WorkflowPolicy.FAIL_FAST)
    player = Player(definition_of(stage("one", graph, flow("z"), parallel=True), stage("two", flow("y")), at_once=2))
    player.end("early", Failed("the cause"), seconds=1.2)
    restart(player)
    player.end("late", Failed("what followed"), seconds=0.5)
    restart(player)
    player.end("y", Failed("much later"), seconds=0.1)
    restart(player)
    player.end("z", seconds=0.1)
    assert player.status.message == "Stage one failed: action early failed: the cause"


def test_a_stage_failed_when_its_first_action_did_not_when_its_last_one_ended() -> None:
    one = stage("one", flow("a", policy=WorkflowPolicy.CONTINUE), flow("slow"), parallel=True, policy=StagePolicy.STOP)
    player = Player(definition_of(one, stage("two", flow("b"), policy=StagePolicy.STOP), at_once=2))
    player.end("a", Failed("the cause"), seconds=1.2)
    player.end("b", Failed("what followed"), seconds=0.5)
    restart(player)
    player.end("slow")
    assert player.status.message.startswith("Stage one failed")


@pytest.mark.parametrize("fraction", [0.000001, 0.4, 0.999999])
def test_a_retry_is_not_made_before_its_time(fraction: float) -> None:
    player = Player(definition_of(stage("one", flow(http("a", retry=PATIENT)))))
    player.end("a", Failed("busy", retryable=True), seconds=fraction)
    due = player.action("a").next_attempt_time
    assert due is not None
    restart(player)
    assert player.action("a").next_attempt_time == due
    assert decide(player.definition, player.status, due - timedelta(microseconds=1)).starts == ()
    assert len(decide(player.definition, player.status, due).starts) == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_an_action_that_times_out_at_a_later_attempt_keeps_the_cause_of_the_one_before(restarts: bool) -> None:
    player = Player(definition_of(stage("one", flow(http("a", retry=PATIENT, timeout="10s")))))
    player.end("a", Failed("unexpected status code: 503: no healthy members", retryable=True))
    if restarts:
        restart(player)
    player.wait(60)
    if restarts:
        restart(player)
    player.end("a", Failed("timed out after 10s", timed_out=True))
    assert player.action("a").message == (
        "timed out after 10s; attempt 1 had failed: unexpected status code: 503: no healthy members"
    )
    assert player.phase() is Phase.FAILED
    assert "no healthy members" in player.status.message


def test_a_status_of_an_earlier_release_is_judged_by_the_second() -> None:
    player = Player(definition_of(stage("one", flow("a"), flow("b"), flow("c"), parallel=True)))
    player.end("b", Failed("the cause"), seconds=1)
    player.end("a", Failed("what followed"), seconds=2)
    wire = player.status.to_wire()
    for workflow in wire["stageStatuses"][0]["workflowExecutions"]:
        for node in (workflow, *workflow["actionStatuses"]):
            node.pop("failureTime", None)
    player.status = DRPlanExecutionStatus.from_wire(wire)
    player.end("c")
    assert player.status.message == "Stage one failed: action b failed: the cause"
