"""How workflows, stages and runs end, and in which words (contract: lifecycle 6.2 to 6.4)."""

from __future__ import annotations

import pytest

from app.engine.build import execute_definition
from app.engine.events import CancelRequested
from app.engine.rollup import first_failure, stops_plan
from app.models.execution import ActionStatus
from app.models.phases import Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from tests.unit.engine.runs import Player, after, definition_of, flow, http, snapshot_of, stage

NEVER = 'mode == "delete"'
ALL = WorkflowPolicy.CONTINUE


def test_everything_succeeded() -> None:
    player = Player(definition_of(stage("one", flow("a"))))
    status = player.play()
    assert (status.phase, status.message) == (Phase.SUCCEEDED, "All stages completed successfully")
    assert (player.stage("one").phase, player.stage("one").message) == (Phase.SUCCEEDED, "")
    workflow = player.stage("one").workflow_executions[0]
    assert (workflow.phase, workflow.message) == (Phase.SUCCEEDED, "All actions completed successfully")
    assert workflow.progress == "1/1 actions completed"


def test_skipped_actions_and_workflows_do_not_make_a_failure() -> None:
    player = Player(definition_of(stage("one", flow(http("a", when=NEVER)), flow(http("b", when=NEVER), "c"))))
    player.play()
    first, second = player.stage("one").workflow_executions
    assert (first.phase, first.message) == (Phase.SKIPPED, "All actions were skipped")
    assert (second.phase, second.message) == (Phase.SUCCEEDED, "All actions completed successfully")
    assert player.stage("one").phase is Phase.SUCCEEDED


def test_a_stage_of_skipped_workflows_succeeds() -> None:
    player = Player(definition_of(stage("one", flow(http("a", when=NEVER)), flow(http("b", when=NEVER)))))
    assert (player.stage("one").phase, player.stage("one").message) == (Phase.SUCCEEDED, "All workflows skipped")
    told = "All stages completed successfully; every action was skipped"
    assert (player.phase(), player.status.message) == (Phase.SUCCEEDED, told)


def test_a_run_that_is_to_delete_and_did_nothing_has_failed() -> None:
    stages = (
        stage("one", flow(http("a", when="mode == upgrade"))),
        stage("two", flow(http("b", when="mode == install"))),
    )
    player = Player(definition_of(*stages, mode="delete"))
    told = "Nothing was deleted: every action was skipped in mode delete"
    assert (player.phase(), player.status.message) == (Phase.FAILED, told)
    assert Player(definition_of(stage("one", flow("a")), mode="delete")).play().phase is Phase.SUCCEEDED


def messages(player: Player) -> tuple[str, str, str]:
    failed = next(w for w in player.stage("one").workflow_executions if w.phase is Phase.FAILED)
    return failed.message, player.stage("one").message, player.status.message


@pytest.mark.parametrize(
    ("workflow", "parallel", "plan", "expected"),
    [
        (
            WorkflowPolicy.FAIL_FAST,
            False,
            PlanPolicy.STOP,
            (
                "action a failed: a broke",
                "workflow ns/one-0 failed: action a failed: a broke",
                "Stage one failed: workflow ns/one-0 failed: action a failed: a broke",
            ),
        ),
        (
            WorkflowPolicy.FAIL_FAST,
            True,
            PlanPolicy.STOP,
            ("action a failed: a broke", "action a failed: a broke", "Stage one failed: action a failed: a broke"),
        ),
        (
            ALL,
            False,
            PlanPolicy.STOP,
            (
                "One or more actions failed",
                "workflow ns/one-0 failed",
                "Stage one failed: workflow ns/one-0 failed",
            ),
        ),
        (
            ALL,
            True,
            PlanPolicy.STOP,
            (
                "One or more actions failed",
                "One or more workflows failed",
                "Stage one failed: One or more workflows failed",
            ),
        ),
        (
            WorkflowPolicy.FAIL_FAST,
            False,
            PlanPolicy.CONTINUE,
            (
                "action a failed: a broke",
                "workflow ns/one-0 failed: action a failed: a broke",
                "One or more stages failed",
            ),
        ),
        (
            ALL,
            True,
            PlanPolicy.CONTINUE,
            ("One or more actions failed", "One or more workflows failed", "One or more stages failed"),
        ),
    ],
)
def test_a_failure_is_told_from_the_action_up(
    workflow: WorkflowPolicy, parallel: bool, plan: PlanPolicy, expected: tuple[str, str, str]
) -> None:
    player = Player(definition_of(stage("one", flow("a", "b", policy=workflow), parallel=parallel), policy=plan))
    player.play(failing="a")
    assert messages(player) == expected


def test_the_failure_that_came_first_is_told() -> None:
    player = Player(definition_of(stage("one", flow("a", http("b"), http("c", "b"), policy=WorkflowPolicy.FAIL_FAST))))
    player.running.sort(reverse=True)
    player.play(failing="ab")
    assert player.stage("one").workflow_executions[0].message == "action b failed: b broke"


def test_of_failures_that_end_together_the_first_listed_is_told() -> None:
    def failed(name: str, seconds: float) -> ActionStatus:
        return ActionStatus(name=name, phase=Phase.FAILED, completion_time=after(seconds))

    found = first_failure([failed("a", 2), failed("b", 1), failed("c", 1)])
    assert found is not None
    assert found.name == "b"
    assert first_failure([ActionStatus(name="d", phase=Phase.SUCCEEDED)]) is None


def test_a_workflow_that_was_cut_short_says_how_far_it_got_and_why() -> None:
    player = Player(definition_of(stage("one", flow("a", "b", "c"), flow("d"), parallel=True)))
    player.end("a")
    player.end("d")
    player.fold(CancelRequested(player.now, "stop"))
    player.end("b")
    workflow = player.stage("one").workflow_executions[0]
    assert (workflow.phase, workflow.message) == (Phase.CANCELLED, "stopped after 2 of 3 actions: Canceled by user")
    assert player.stage("one").message == "stopped after 2 of 3 actions: Canceled by user"
    assert (player.phase(), player.status.message) == (Phase.CANCELLED, "Execution canceled by user")


def test_a_stage_of_which_a_workflow_never_began_is_cut_short() -> None:
    player = Player(definition_of(stage("one", flow("a"), flow("b"))))
    player.fold(CancelRequested(player.now, "stop"))
    player.end("a")
    assert [w.phase for w in player.stage("one").workflow_executions] == [Phase.SUCCEEDED, Phase.SKIPPED]
    assert (player.stage("one").phase, player.stage("one").message) == (Phase.CANCELLED, "Canceled by user")


def test_a_failure_beats_a_cancel_below_the_run_and_loses_to_it_there() -> None:
    player = Player(definition_of(stage("one", flow("a", "b"))))
    player.fold(CancelRequested(player.now, "stop"))
    player.play(failing="a")
    assert player.stage("one").phase is Phase.FAILED
    assert player.phase() is Phase.CANCELLED


def test_a_run_says_that_it_assumed_a_mode() -> None:
    snapshot = snapshot_of(stage("one", flow(http("a", when='mode == "install"'))), mode_assumed=True)
    player = Player(execute_definition(snapshot))
    assert player.status.message == "No spec.mode given: mode install was assumed"
    assert player.play().message == ("All stages completed successfully (No spec.mode given: mode install was assumed)")


@pytest.mark.parametrize(
    ("policy", "plan", "stops"),
    [
        (StagePolicy.STOP, PlanPolicy.STOP, True),
        (StagePolicy.STOP, PlanPolicy.CONTINUE, True),
        (StagePolicy.CONTINUE, PlanPolicy.STOP, False),
        (StagePolicy.CONTINUE, PlanPolicy.CONTINUE, False),
        (StagePolicy.FAIL_FAST, PlanPolicy.STOP, True),
        (StagePolicy.FAIL_FAST, PlanPolicy.CONTINUE, False),
        (None, PlanPolicy.STOP, True),
        (None, PlanPolicy.CONTINUE, False),
    ],
)
def test_which_failed_stage_stops_the_plan(policy: StagePolicy | None, plan: PlanPolicy, stops: bool) -> None:
    definition = definition_of(stage("one", flow("a"), policy=policy), policy=plan)
    assert stops_plan(definition, definition.stages[0]) is stops
