"""What holds of every status of a run and of every step between two, written down without the engine's own rules."""

from __future__ import annotations

import json
from collections import Counter

from app.engine.definition import Address, RunDefinition
from app.engine.settle import settle
from app.engine.summary import summarize
from app.models.execution import (
    ActionStatus,
    DRPlanExecutionStatus,
    HealthCheckStatus,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.phases import Operation, Phase, PlanPolicy, StagePolicy, WorkflowPolicy, may_follow
from tests.unit.engine.runs import START, nodes

Node = StageStatus | WorkflowExecutionStatus | ActionStatus
DONE_SOMETHING = (Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


def stored(status: DRPlanExecutionStatus) -> DRPlanExecutionStatus:
    """The status as it comes back from the API server."""
    return DRPlanExecutionStatus.from_wire(json.loads(json.dumps(status.to_wire())))


def shape(status: DRPlanExecutionStatus) -> list[tuple[str, str]]:
    """Everything that must not depend on where a run was interrupted: the phases."""
    checks = [(f"health check {check.name}", str(check.phase)) for check in status.health_checks]
    return [("run", str(status.phase)), *((_name(node), str(node.phase)) for node in nodes(status)), *checks]


def check_status(definition: RunDefinition, status: DRPlanExecutionStatus) -> None:
    """Assert that a settled status is a legal one."""
    assert status.start_time is not None
    assert settle(definition, status, START) is status
    assert status.phase in (Phase.RUNNING, Phase.UNKNOWN, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)
    stages = status.stage_statuses
    _check_gates(definition, status)
    done = all(stage.phase.is_final for stage in stages)
    assert status.phase.is_final == (done and not _is_gated(definition, status, None))
    assert (status.completion_time is not None) == status.phase.is_final == bool(status.duration)
    for node in nodes(status):
        _check_node(node)
    of_run = [stage.phase for stage in stages] + _phases_of_gate(definition, status, None)
    _check_ending(status.phase, of_run, is_run=True)
    for s, stage in enumerate(stages):
        _check_family(
            stage,
            stage.workflow_executions,
            checks=_phases_of_gate(definition, status, s),
            gated=_is_gated(definition, status, s),
        )
        for w, workflow in enumerate(stage.workflow_executions):
            _check_family(workflow, workflow.action_statuses)
            _check_current(definition, workflow)
            _check_order_of_actions(definition, s, w, workflow.action_statuses)
        _check_order_of_workflows(definition, s, stage)
    _check_order_of_stages(definition, status)
    check_counts(status)


def check_counts(status: DRPlanExecutionStatus) -> None:
    """Assert that the summary says what the lists say, and adds up (invariant 9)."""
    counted = summarize(status)
    summary = counted.summary
    assert summary is not None
    levels: dict[str, list[Phase]] = {
        "stages": [stage.phase for stage in status.stage_statuses],
        "workflows": [w.phase for stage in status.stage_statuses for w in stage.workflow_executions],
        "actions": [
            a.phase for stage in status.stage_statuses for w in stage.workflow_executions for a in w.action_statuses
        ],
    }
    for level, found in levels.items():
        counts = Counter(found)
        assert getattr(summary, f"total_{level}") == len(found) == counts.total()
        succeeded = "completed" if level == "workflows" else "succeeded"
        names = {Phase.SUCCEEDED: succeeded} | {
            phase: phase.lower()
            for phase in (Phase.PENDING, Phase.RUNNING, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED)
        }
        assert {phase: getattr(summary, f"{name}_{level}") for phase, name in names.items()} == {
            phase: counts[phase] for phase in names
        }
        assert sum(getattr(summary, f"{name}_{level}") for name in names.values()) == len(found)
    assert summary.completed_stages == summary.succeeded_stages
    assert summary.completed_actions == sum(phase.is_final for phase in levels["actions"])
    assert counted.progress == f"{summary.succeeded_actions}/{len(levels['actions'])}"


def check_step(old: DRPlanExecutionStatus, new: DRPlanExecutionStatus) -> None:
    """Assert that phases only move forward, and that what has ended stays as it is (invariant 9)."""
    assert old.phase is not None
    assert new.phase is not None
    assert may_follow(old.phase, new.phase)
    pairs = [*zip(nodes(old), nodes(new), strict=True), *zip(old.health_checks, new.health_checks, strict=True)]
    for before, after in pairs:
        assert may_follow(before.phase, after.phase), (_name(before), before.phase, after.phase)
        if before.phase.is_final:
            assert before == after, f"{_name(before)} changed after it had ended"
        if before.start_time is not None:
            assert before.start_time == after.start_time
    assert {c.type for c in old.conditions} <= {c.type for c in new.conditions}


def may_start(definition: RunDefinition, status: DRPlanExecutionStatus, address: Address) -> str:
    """Return why a first attempt must not start in `status`; empty when it may (decisions P3 to P5)."""
    node, stage = definition.stages[address.stage], status.stage_statuses[address.stage]
    workflow, policy = stage.workflow_executions[address.workflow], node.workflows[address.workflow].policy
    if any(condition.reason == "CancelRequested" for condition in status.conditions):
        return "the run is cancelled"
    if policy is WorkflowPolicy.FAIL_FAST and _has(workflow.action_statuses, Phase.FAILED):
        return "its workflow has failed"
    for other, other_stage in zip(definition.stages, status.stage_statuses, strict=True):
        stops = other.policy is StagePolicy.STOP
        failed_fast = other.policy is StagePolicy.FAIL_FAST and definition.policy is PlanPolicy.STOP
        if other_stage.phase is Phase.FAILED and (stops or failed_fast):
            return f"stage {other.name} has failed"
        if stops and _is_bound_to_fail(definition, status, other.name):
            return f"stage {other.name} is bound to fail"
    is_new = workflow.phase is Phase.PENDING
    if is_new and node.policy is StagePolicy.FAIL_FAST and _is_bound_to_fail(definition, status, node.name):
        return "another workflow of its stage has failed"
    if any(status.stage_statuses[need].phase is not Phase.SUCCEEDED for need in node.needs):
        return "its stage's needs are not met"
    return ""


def _is_bound_to_fail(definition: RunDefinition, status: DRPlanExecutionStatus, stage: str) -> bool:
    for node, one in zip(definition.stages, status.stage_statuses, strict=True):
        if node.name == stage:
            return any(
                workflow.phase is Phase.FAILED
                or (flow.policy is WorkflowPolicy.FAIL_FAST and _has(workflow.action_statuses, Phase.FAILED))
                for flow, workflow in zip(node.workflows, one.workflow_executions, strict=True)
            )
    return False


def _has(children: tuple[Node, ...], phase: Phase) -> bool:
    return any(child.phase is phase for child in children)


def _check_node(node: Node | HealthCheckStatus) -> None:
    if node.phase is Phase.PENDING:
        assert node.start_time is None
    else:
        assert node.start_time is not None
    if node.phase.is_final:
        assert node.start_time is not None
        assert node.completion_time is not None
        assert node.completion_time >= node.start_time
        assert node.duration
    else:
        assert node.completion_time is None
        assert not node.duration
    if node.phase in (Phase.SKIPPED, Phase.FAILED, Phase.CANCELLED):
        assert node.message
    if isinstance(node, ActionStatus):
        assert (node.attempt > 0) == (node.phase is not Phase.PENDING) or node.phase in (Phase.SKIPPED, Phase.FAILED)
        assert node.retry_count == max(node.attempt - 1, 0)
        assert node.next_attempt_time is None or node.phase is Phase.RUNNING


def _check_gates(definition: RunDefinition, status: DRPlanExecutionStatus) -> None:
    """Assert what holds of health checks: nothing succeeds before all of its own have."""
    assert status.phase is not None
    assert [check.name for check in status.health_checks] == [check.name for check in definition.checks]
    for node, check in zip(definition.checks, status.health_checks, strict=True):
        _check_node(check)
        owner = status.phase if node.stage is None else status.stage_statuses[node.stage].phase
        assert check.failed_attempts <= min(node.attempts, check.attempt)
        assert (check.phase is Phase.FAILED) == (check.failed_attempts == node.attempts)
        if owner.is_final:
            assert check.phase.is_final
        if owner is Phase.SUCCEEDED:
            nothing = node.stage is not None and not _did(status.stage_statuses[node.stage])
            assert check.phase is (Phase.SKIPPED if nothing else Phase.SUCCEEDED)
        if check.phase is Phase.RUNNING:
            assert owner in (Phase.RUNNING, Phase.UNKNOWN)


def _did(stage: StageStatus) -> bool:
    return any(action.attempt for workflow in stage.workflow_executions for action in workflow.action_statuses)


def _phases_of_gate(definition: RunDefinition, status: DRPlanExecutionStatus, stage: int | None) -> list[Phase]:
    return [status.health_checks[index].phase for index in definition.gates.get(stage, ())]


def _is_gated(definition: RunDefinition, status: DRPlanExecutionStatus, stage: int | None) -> bool:
    return Phase.RUNNING in _phases_of_gate(definition, status, stage)


def _check_family(
    parent: StageStatus | WorkflowExecutionStatus,
    children: tuple[Node, ...],
    *,
    checks: list[Phase] | None = None,
    gated: bool = False,
) -> None:
    found = [child.phase for child in children]
    if parent.phase.is_final:
        assert all(phase.is_final for phase in found)
        assert not gated
    else:
        assert all(phase.is_final for phase in found) == gated
    if Phase.RUNNING in found:
        assert parent.phase is Phase.RUNNING
    if parent.phase is Phase.PENDING:
        assert set(found) <= {Phase.PENDING, Phase.SKIPPED}
    if parent.phase is Phase.SKIPPED:
        assert set(found) <= {Phase.SKIPPED}
    if parent.phase is Phase.RUNNING:
        tried = any(isinstance(child, ActionStatus) and child.attempt for child in children)
        assert tried or set(found) & set(DONE_SOMETHING)
    _check_ending(parent.phase, found + (checks or []))


def _check_ending(phase: Phase, children: list[Phase], *, is_run: bool = False) -> None:
    if phase is Phase.SUCCEEDED:
        assert not {Phase.FAILED, Phase.CANCELLED} & set(children)
    if phase is Phase.FAILED:
        assert Phase.FAILED in children
    if phase.is_final and Phase.FAILED in children:
        assert phase is Phase.FAILED or (is_run and phase is Phase.CANCELLED)


def _check_current(definition: RunDefinition, workflow: WorkflowExecutionStatus) -> None:
    running = [action.name for action in workflow.action_statuses if action.phase is Phase.RUNNING]
    assert workflow.current_action == (running[0] if running else "")
    if not workflow.progress:
        assert not _has(workflow.action_statuses, Phase.RUNNING)
        return
    total = len(workflow.action_statuses)
    done = sum(action.phase is Phase.SUCCEEDED for action in workflow.action_statuses)
    word = "rolled back" if definition.operation is Operation.REVERT else "completed"
    assert workflow.progress == f"{done}/{total} actions {word}"


def _check_order_of_actions(definition: RunDefinition, s: int, w: int, found: tuple[ActionStatus, ...]) -> None:
    for node, action in zip(definition.stages[s].workflows[w].actions, found, strict=True):
        if action.attempt:
            assert all(found[earlier].phase.is_final for earlier in node.after)
            assert all(found[need].phase in (Phase.SUCCEEDED, Phase.SKIPPED) for need in node.needs)


def _check_order_of_workflows(definition: RunDefinition, s: int, stage: StageStatus) -> None:
    if definition.stages[s].parallel:
        return
    unfinished = False
    for workflow in stage.workflow_executions:
        if unfinished:
            assert workflow.phase in (Phase.PENDING, Phase.SKIPPED)
        unfinished = unfinished or not workflow.phase.is_final


def _check_order_of_stages(definition: RunDefinition, status: DRPlanExecutionStatus) -> None:
    running = [stage for stage in status.stage_statuses if stage.phase is Phase.RUNNING]
    assert len(running) <= definition.max_parallel_stages
    for node, stage in zip(definition.stages, status.stage_statuses, strict=True):
        if stage.phase in DONE_SOMETHING:
            assert all(status.stage_statuses[need].phase is Phase.SUCCEEDED for need in node.needs)


def _name(node: Node | HealthCheckStatus) -> str:
    return node.workflow_ref.name if isinstance(node, WorkflowExecutionStatus) else node.name
