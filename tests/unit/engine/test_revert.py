"""What a Revert does, from the record of its target (contract: lifecycle 12; decisions R1 to R7)."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.build import execute_definition
from app.engine.definition import Address, RollBack, RunDefinition
from app.engine.events import CancelRequested
from app.engine.outcome import Failed, NothingToDo, Succeeded
from app.engine.revert import mark_reverted, revert_definition, target_problem
from app.models.actions import Action, ActionType
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus, HttpResponse, execution_status_from_wire
from app.models.phases import Phase, PlanPolicy, WorkflowPolicy
from app.models.revert_options import RevertFailurePolicy, RevertOptions
from app.models.snapshot import Snapshot
from tests.unit.engine.runs import Player, find, flow, http, phases, revert_of, snapshot_of, stage

UNDO = {"http": {"url": "http://site.invalid/undo"}}
GO_ON = RevertOptions(failure_policy=RevertFailurePolicy.CONTINUE)
CONFIG_MAP = CoreReference(api_version="v1", kind="ConfigMap", namespace="ns", name="x", uid="u-x")
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: ns}\n"


def undone(name: str, **more: Any) -> Action:
    return http(name, rollback=UNDO, **more)


def config_map(name: str, operation: str | None = None, **more: Any) -> Action:
    block = {"manifest": MANIFEST, **({"operation": operation} if operation else {})}
    return Action.from_wire(
        {"name": name, "type": "KubernetesResource", "resource": block, "retryPolicy": {"limit": 0}, **more}
    )


def executed(snapshot: Snapshot, failing: str = "", outputs: ActionOutputs | None = None) -> DRPlanExecutionStatus:
    """Run it; `failing` names one action that fails. Every action leaves `outputs`."""
    player = Player(execute_definition(snapshot))
    while player.running:
        name = player.running[0]
        player.end(name, Failed("broke", outputs) if name == failing else Succeeded("done", outputs))
    return player.status


def reverting(
    snapshot: Snapshot,
    target: DRPlanExecutionStatus,
    *,
    options: RevertOptions | None = None,
    has_snapshot: bool = True,
) -> Player:
    return Player(revert_definition(revert_of(snapshot, target, options=options, has_snapshot=has_snapshot)))


def listed(definition: RunDefinition) -> list[str]:
    return [
        f"{stage.name}/{workflow.name}/{action.name}"
        for stage in definition.stages
        for workflow in stage.workflows
        for action in workflow.actions
    ]


def rollback_at(player: Player, name: str) -> RollBack:
    step = player.definition.action(find(player.status, name)[0]).step
    assert isinstance(step, RollBack)
    return step


def test_a_snapshot_without_target_cannot_be_reverted() -> None:
    snapshot = revert_of(snapshot_of(stage("one", flow("a"))), DRPlanExecutionStatus())
    with pytest.raises(ValueError, match="snapshot of Revert revert-1 has no target"):
        revert_definition(snapshot.model_copy(update={"target": None}))


def test_work_and_records_are_in_reverse_at_every_level() -> None:
    snapshot = snapshot_of(
        stage("one", flow(undone("a"), undone("b")), flow(undone("c")), parallel=True),
        stage("two", flow(undone("d"))),
        at_once=2,
    )
    player = reverting(snapshot, executed(snapshot))
    assert listed(player.definition) == ["two/two-0/d", "one/one-1/c", "one/one-0/b", "one/one-0/a"]
    status = player.play()
    assert player.started == ["d", "c", "b", "a"], "one after another, whatever ran at the same time"
    assert [one.name for one in status.stage_statuses] == ["two", "one"]
    workflow = status.stage_statuses[1].workflow_executions[1]
    assert (workflow.progress, workflow.message) == ("2/2 actions rolled back", "Workflow reverted successfully")
    assert status.stage_statuses[1].message == "Stage reverted successfully: 2 workflow(s) rolled back"
    assert status.message == (
        "Plan reverted successfully: 2 stage(s) rolled back, 4 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    assert status.phase is Phase.SUCCEEDED


def test_where_nothing_was_to_be_taken_back_nothing_is_said_to_have_been() -> None:
    snapshot = snapshot_of(
        stage("one", flow("a"), flow(undone("b"))), stage("two", flow("c")), stage("three", flow("d"))
    )
    player = reverting(snapshot, executed(snapshot))
    while player.running:
        name = player.running[0]
        player.end(name, None if name == "b" else NothingToDo("No rollback defined for HTTP action"))
    messages = {one.name: one.message for one in player.status.stage_statuses}
    assert messages == {
        "three": "Stage reverted successfully: 0 workflow(s) rolled back",
        "two": "Stage reverted successfully: 0 workflow(s) rolled back",
        "one": "Stage reverted successfully: 1 workflow(s) rolled back",
    }
    assert player.status.message == (
        "Plan reverted successfully: 1 stage(s) rolled back, 1 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )


def test_an_action_knows_which_one_it_takes_back() -> None:
    snapshot = snapshot_of(stage("one", flow("x"), flow(undone("a"), undone("b"))))
    step = rollback_at(reverting(snapshot, executed(snapshot)), "b")
    assert step.target_address == Address(0, 1, 1)
    assert (step.stage, step.workflow_index, step.type, step.custom) == ("one", 1, ActionType.HTTP, True)
    assert reverting(snapshot, executed(snapshot)).definition.stages[0].workflows[0].snapshot_index == 1


def test_a_failed_run_is_taken_back_as_far_as_it_got() -> None:
    snapshot = snapshot_of(
        stage("one", flow(undone("a"), undone("b"), undone("c")), flow(undone("d"))), stage("two", flow(undone("e")))
    )
    target = executed(snapshot, failing="b")
    player = reverting(snapshot, target)
    status = player.play()
    assert player.started == ["a"]
    assert phases(status) == {"e": "Skipped", "d": "Skipped", "c": "Skipped", "b": "Skipped", "a": "Succeeded"}
    assert player.stage("two").message == "Original stage phase was Skipped, skipped rollback"
    assert player.stage("one").workflow_executions[0].message == "Original workflow phase was Skipped, skipped rollback"
    assert player.action("b").message == "Original action phase was Failed, skipped rollback"
    assert player.action("c").message == "Original action phase was Skipped, skipped rollback"
    assert status.message == (
        "Plan reverted successfully: 1 stage(s) rolled back, 1 action(s) rolled back, 1 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )


def test_a_cancelled_run_is_taken_back_as_far_as_it_got() -> None:
    snapshot = snapshot_of(stage("one", flow(undone("a"), undone("b"), undone("c"))))
    forward = Player(execute_definition(snapshot))
    forward.end("a")
    forward.fold(CancelRequested(forward.now, "stop"))
    forward.end("b")
    assert forward.stage("one").phase is Phase.CANCELLED
    player = reverting(snapshot, forward.status)
    player.play()
    assert player.started == ["b", "a"]
    assert player.action("c").message == "Original action phase was Skipped, skipped rollback"


@pytest.mark.parametrize(
    ("operation", "taken_back"), [(None, True), ("Create", True), ("Apply", True), ("Patch", False), ("Delete", False)]
)
def test_an_action_that_failed_after_it_made_its_object_is_taken_back(operation: str | None, taken_back: bool) -> None:
    snapshot = snapshot_of(stage("one", flow(config_map("a", operation, rollback=UNDO))))
    player = reverting(snapshot, executed(snapshot, failing="a", outputs=ActionOutputs(resource_ref=CONFIG_MAP)))
    if taken_back:
        step = rollback_at(player, "a")
        assert not step.custom, "a custom rollback is for actions that succeeded"
        assert step.outputs.resource_ref == CONFIG_MAP
    else:
        assert player.action("a").message == "Original action phase was Failed, skipped rollback"


def test_http_without_rollback_is_skipped() -> None:
    snapshot = snapshot_of(stage("one", flow("a")))
    player = reverting(snapshot, executed(snapshot))
    assert (player.action("a").phase, player.action("a").message) == (
        Phase.SKIPPED,
        "No rollback defined for HTTP action",
    )
    workflow = player.stage("one").workflow_executions[0]
    assert (workflow.phase, workflow.message) == (Phase.SUCCEEDED, "No action had anything to roll back")
    assert player.phase() is Phase.SUCCEEDED


def test_a_rollback_with_nothing_to_do_is_skipped_and_no_failure() -> None:
    snapshot = snapshot_of(stage("one", flow(config_map("a", "Patch"), undone("b"))))
    player = reverting(snapshot, executed(snapshot))
    player.end("b")
    player.end("a", NothingToDo("No automatic rollback for Patch operation"))
    assert phases(player.status) == {"b": "Succeeded", "a": "Skipped"}
    assert player.stage("one").workflow_executions[0].progress == "1/2 actions rolled back"
    assert player.phase() is Phase.SUCCEEDED


def test_a_rollback_block_may_be_of_another_type_with_its_own_time_out_and_retries() -> None:
    block = {"type": "HTTP", **UNDO, "timeout": "7s", "retryPolicy": {"limit": 9}}
    snapshot = snapshot_of(stage("one", flow(config_map("a", rollback=block), config_map("b", timeout="9s"))))
    player = reverting(snapshot, executed(snapshot))
    custom, automatic = (player.definition.action(find(player.status, name)[0]) for name in "ab")
    assert isinstance(custom.step, RollBack)
    assert (custom.step.type, custom.timeout.total_seconds(), custom.retry.limit) == (ActionType.HTTP, 7, 9)
    assert custom.type == "KubernetesResource"
    assert isinstance(automatic.step, RollBack)
    assert (automatic.step.custom, automatic.timeout.total_seconds(), automatic.retry.limit) == (False, 9, 0)


def test_a_rollback_that_cannot_be_read_fails_and_says_where() -> None:
    snapshot = snapshot_of(stage("one", flow(undone("a"), http("b", rollback={"http": {"url": 7}}))))
    player = reverting(snapshot, executed(snapshot))
    assert player.action("b").phase is Phase.FAILED
    assert player.action("b").message.startswith(
        "The rollback of this action cannot be read: rollback.http.url: Input should be a valid string; undo it by hand"
    )
    assert player.started == [], "the first failure stops the revert"


def test_the_first_failure_stops_the_revert() -> None:
    snapshot = snapshot_of(
        stage("one", flow(undone("a"))), stage("two", flow(undone("b")), flow(undone("c"), undone("d")))
    )
    player = reverting(snapshot, executed(snapshot))
    status = player.play(failing="d")
    assert phases(status) == {"d": "Failed", "c": "Skipped", "b": "Skipped", "a": "Skipped"}
    assert player.action("c").message == 'Not started: action "d" failed (failurePolicy FailFast)'
    assert player.action("a").message == 'Not started: stage "two" failed (failurePolicy Stop)'
    assert player.stage("two").workflow_executions[0].message == "Failed to rollback action d"
    assert player.stage("two").message == "Failed to revert workflow ns/two-1"
    assert status.message == (
        "Failed to revert stage two: failed to revert workflow ns/two-1: failed to rollback action d: d broke"
    )
    assert status.phase is Phase.FAILED


def test_with_policy_continue_the_revert_goes_on_and_fails_all_the_same() -> None:
    snapshot = snapshot_of(stage("one", flow(undone("a"))), stage("two", flow(undone("b"), undone("c"))))
    player = reverting(snapshot, executed(snapshot), options=GO_ON)
    status = player.play(failing="c")
    assert player.started == ["c", "b", "a"]
    assert phases(status) == {"c": "Failed", "b": "Succeeded", "a": "Succeeded"}
    assert (player.stage("two").phase, player.stage("one").phase) == (Phase.FAILED, Phase.SUCCEEDED)
    assert status.phase is Phase.FAILED
    assert status.message.startswith("Failed to revert stage two: ")


def test_the_policies_of_plan_and_workflows_have_no_say_in_a_revert() -> None:
    workflow = flow(undone("a"), undone("b"), policy=WorkflowPolicy.CONTINUE)
    snapshot = snapshot_of(stage("one", workflow), policy=PlanPolicy.CONTINUE)
    player = reverting(snapshot, executed(snapshot))
    assert phases(player.play(failing="b")) == {"b": "Failed", "a": "Skipped"}


def test_a_further_revert_goes_on_where_the_last_one_stopped() -> None:
    snapshot = snapshot_of(stage("one", flow(undone("a"), undone("b"), undone("c"))))
    target = executed(snapshot)
    first = reverting(snapshot, target)
    first.play(failing="b")
    marked = mark_reverted(target, first.definition, first.status, "revert-1")
    assert {name: find(marked, name)[1].rolled_back_by for name in "abc"} == {"a": "", "b": "", "c": "revert-1"}
    assert marked.reverted_by == ""
    assert target_problem("Execute", marked, same_plan=True, target="ns/run-1") == ""
    second = reverting(snapshot, marked)
    second.play()
    assert second.started == ["b", "a"]
    assert second.action("c").message == "already rolled back by revert-1"
    again = mark_reverted(marked, second.definition, second.status, "revert-2")
    assert {name: find(again, name)[1].rolled_back_by for name in "abc"} == {
        "a": "revert-2",
        "b": "revert-2",
        "c": "revert-1",
    }
    assert again.reverted_by == "revert-2"
    assert target_problem("Execute", again, same_plan=True, target="ns/run-1") == (
        "execution ns/run-1 was already reverted by revert-2"
    )


def test_marking_twice_is_marking_once() -> None:
    snapshot = snapshot_of(stage("one", flow(undone("a"), "b")))
    target = executed(snapshot)
    player = reverting(snapshot, target)
    player.play()
    marked = mark_reverted(target, player.definition, player.status, "revert-1")
    assert mark_reverted(marked, player.definition, player.status, "revert-1") == marked


@pytest.mark.parametrize(
    ("phase", "operation", "same_plan", "problem"),
    [
        (Phase.SUCCEEDED, "Execute", True, ""),
        (Phase.FAILED, "Execute", True, ""),
        (Phase.CANCELLED, "Execute", True, ""),
        (Phase.SUCCEEDED, "Revert", True, "Cannot revert non-Execute operation (target is Revert)"),
        (
            Phase.RUNNING,
            "Execute",
            True,
            "Cannot revert execution in phase Running (must be Succeeded, Failed or Cancelled)",
        ),
        (
            Phase.UNKNOWN,
            "Execute",
            True,
            "Cannot revert execution in phase Unknown (must be Succeeded, Failed or Cancelled)",
        ),
        (None, "Execute", True, "Cannot revert execution in phase Pending (must be Succeeded, Failed or Cancelled)"),
        (Phase.SUCCEEDED, "Execute", False, "Cannot revert execution ns/run-1: it belongs to another plan"),
    ],
)
def test_what_can_be_reverted(phase: Phase | None, operation: str, same_plan: bool, problem: str) -> None:
    status = executed(snapshot_of(stage("one", flow("a")))).model_copy(update={"phase": phase})
    assert target_problem(operation, status, same_plan=same_plan, target="ns/run-1") == problem


def test_an_execution_without_stages_cannot_be_reverted() -> None:
    status = DRPlanExecutionStatus(phase=Phase.FAILED)
    problem = target_problem("Execute", status, same_plan=True, target="ns/run-1")
    assert problem == "Target execution has no stage statuses to revert"


# Records of the Go operator: no types, no completion times, another spelling, definitions that may be gone.

GO_RECORD = {
    "phase": "Canceled",
    "startTime": "2026-01-02T03:04:05Z",
    "stageStatuses": [
        {
            "name": "one",
            "phase": "Canceled",
            "workflowExecutions": [
                {
                    "workflowRef": {"name": "one-0"},
                    "phase": "Failed",
                    "actionStatuses": [
                        {
                            "name": "a",
                            "phase": "Succeeded",
                            "outputs": {"jobRef": {"kind": "Job", "namespace": "n", "name": "j"}},
                        },
                        {"name": "b", "phase": "Canceled", "message": "canceled due to FailFast"},
                        {"name": "c", "phase": "Succeeded"},
                        {
                            "name": "d",
                            "phase": "Succeeded",
                            "outputs": {"resourceRef": {"kind": "ConfigMap", "namespace": "n", "name": "m"}},
                        },
                    ],
                }
            ],
        },
        {"name": "two", "phase": "Pending"},
    ],
}


def go_snapshot(*, with_definitions: bool) -> Snapshot:
    job: dict[str, Any] = {"job": {"template": {"spec": {}}}}
    workflow = flow(
        Action.from_wire({"name": "a", "type": "Job", **job}), undone("b"), undone("c"), config_map("d", "Apply")
    )
    snapshot = snapshot_of(stage("one", workflow), stage("two", flow("e")))
    return snapshot if with_definitions else snapshot.model_copy(update={"workflows": {}})


def go_target() -> DRPlanExecutionStatus:
    return execution_status_from_wire(GO_RECORD)


def test_a_record_of_the_go_operator_is_read() -> None:
    status = go_target()
    assert status.phase is Phase.CANCELLED
    assert target_problem("Execute", status, same_plan=True, target="ns/run-1") == ""
    assert phases(status)["b"] == "Cancelled"


def test_a_record_of_the_go_operator_is_reverted_by_the_live_definitions() -> None:
    player = reverting(go_snapshot(with_definitions=True), go_target(), has_snapshot=False)
    status = player.play()
    assert player.started == ["d", "c", "a"]
    assert player.action("b").message == "Original action phase was Cancelled, skipped rollback"
    assert player.stage("two").message == "Original stage phase was Pending, skipped rollback"
    assert rollback_at(player, "a").type is ActionType.JOB
    assert status.message == (
        "Plan reverted successfully: 1 stage(s) rolled back, 3 action(s) rolled back, 1 stage(s) skipped"
        "; not verified: the plan has no healthCheck "
        "(reverted from recorded outputs and the live definitions, because run-1 left no snapshot)"
    )


def test_without_definitions_only_what_surely_was_made_is_taken_back() -> None:
    """A Job is always of the action's own making; a resource may have been there before."""
    player = reverting(go_snapshot(with_definitions=False), go_target(), options=GO_ON, has_snapshot=False)
    player.play()
    assert player.started == ["a"]
    assert rollback_at(player, "a").type is ActionType.JOB
    assert not rollback_at(player, "a").custom
    assert player.action("c").message == "Action not found in workflow definition"
    assert player.action("d").message == (
        "Action not found in workflow definition, so nothing says whether this run made ConfigMap n/m or changed it; "
        "undo it by hand, then revert the rest with spec.revertOptions.failurePolicy: Continue"
    )
    assert phases(player.status) == {"d": "Failed", "c": "Skipped", "b": "Skipped", "a": "Succeeded"}
    assert player.phase() is Phase.FAILED


def test_without_definitions_and_policy_continue_the_doubtful_object_stops_the_revert() -> None:
    player = reverting(go_snapshot(with_definitions=False), go_target(), has_snapshot=False)
    assert player.started == []
    assert phases(player.status) == {"d": "Failed", "c": "Skipped", "b": "Skipped", "a": "Skipped"}
    assert player.stage("one").phase is Phase.FAILED


@pytest.mark.parametrize(
    ("outputs", "type_"),
    [
        ({"jobRef": {"kind": "Job", "name": "x"}}, "Job"),
        ({"localizationRef": {"name": "x"}}, "Localization"),
        ({"globalizationRef": {"name": "x"}}, "Globalization"),
        ({"helmChartRef": {"name": "x"}}, "HelmChart"),
        ({"subscriptionRef": {"name": "x"}}, "Subscription"),
        ({"subscriptionRefs": [{"name": "x"}]}, "Subscription"),
        ({"resourceRef": {"kind": "ConfigMap", "name": "x"}}, "KubernetesResource"),
        ({"httpResponse": {"statusCode": 200}}, "HTTP"),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("recorded", ["", "Unheard-of"])
def test_the_type_of_an_action_without_definition_follows_from_what_it_left(
    outputs: dict[str, Any], type_: str, recorded: str
) -> None:
    target = executed(snapshot_of(stage("one", flow("a"))), outputs=ActionOutputs.from_wire(outputs))
    wire = target.to_wire()
    wire["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"][0]["type"] = recorded
    snapshot = snapshot_of(stage("one", flow("other")))
    definition = revert_definition(revert_of(snapshot, DRPlanExecutionStatus.from_wire(wire)))
    assert definition.stages[0].workflows[0].actions[0].type == type_


# What explains that an object is gone (decision R5).


def test_an_object_that_a_later_delete_of_the_run_removed_is_explained() -> None:
    snapshot = snapshot_of(stage("one", flow(config_map("a"))), stage("two", flow(config_map("b", "Delete"))))
    made = ActionOutputs(resource_ref=CONFIG_MAP)
    assert rollback_at(reverting(snapshot, executed(snapshot, outputs=made)), "a").explained


def test_an_object_that_nothing_of_the_run_removed_is_not_explained() -> None:
    snapshot = snapshot_of(stage("one", flow(config_map("a"))), stage("two", flow(config_map("b", "Apply"))))
    made = ActionOutputs(resource_ref=CONFIG_MAP)
    assert not rollback_at(reverting(snapshot, executed(snapshot, outputs=made)), "a").explained


def test_a_delete_that_failed_explains_nothing() -> None:
    snapshot = snapshot_of(stage("one", flow(config_map("a"))), stage("two", flow(config_map("b", "Delete"))))
    made = ActionOutputs(resource_ref=CONFIG_MAP.model_copy(update={"uid": ""}))
    assert not rollback_at(reverting(snapshot, executed(snapshot, failing="b", outputs=made)), "a").explained


@pytest.mark.parametrize(
    ("job", "explained"),
    [
        ({"template": {"spec": {}}}, False),
        ({"template": {"spec": {}}, "ttlSecondsAfterFinished": 0}, True),
        ({"template": {"spec": {"ttlSecondsAfterFinished": 60}}}, True),
    ],
)
def test_a_job_that_removes_itself_is_explained(job: dict[str, Any], explained: bool) -> None:
    snapshot = snapshot_of(stage("one", flow(Action.from_wire({"name": "a", "type": "Job", "job": job}))))
    made = ActionOutputs(job_ref=CoreReference(kind="Job", namespace="ns", name="j"))
    assert rollback_at(reverting(snapshot, executed(snapshot, outputs=made)), "a").explained == (
        frozenset({("", "Job", "ns", "j")}) if explained else frozenset()
    )


def test_a_snapshot_of_a_revert_is_stored_and_read_back_whole() -> None:
    snapshot = snapshot_of(stage("one", flow(undone("a"), config_map("b"))))
    made = ActionOutputs(resource_ref=CONFIG_MAP, http_response=HttpResponse(status_code=200, body="ok"))
    revert = revert_of(snapshot, executed(snapshot, failing="b", outputs=made), options=GO_ON)
    read = Snapshot.load(revert.dump())
    assert read.target is not None
    assert revert_definition(read) == revert_definition(revert_of(snapshot, read.target.status, options=GO_ON))
    assert read.revert_options == GO_ON
    assert listed(revert_definition(read)) == listed(revert_definition(revert))
