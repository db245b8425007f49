"""How a workflow, a stage and a run end, from how their parts ended (contract: lifecycle 6.2, 6.3, 12.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from app.engine import messages
from app.engine.cause import was_kept_back
from app.engine.definition import RunDefinition, StageDefinition, WorkflowDefinition
from app.engine.tree import each_action
from app.models.execution import (
    ActionStatus,
    DRPlanExecutionStatus,
    HealthCheckStatus,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.failures import OF_ACTION, FailureReason
from app.models.phases import Mode, Operation, Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.reasons import NodeReason

Leaf = TypeVar("Leaf", ActionStatus, HealthCheckStatus)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ending:
    """A terminal phase, its message and its reason."""

    phase: Phase
    message: str
    reason: str = ""
    failed_at: datetime | None = None
    """When that failed first which made it fail."""


def workflow_ending(operation: Operation, definition: WorkflowDefinition, actions: tuple[ActionStatus, ...]) -> Ending:
    """Return how a workflow ended whose actions have all ended."""
    failed = first_failure(actions)
    if failed is not None:
        message = _workflow_failure(operation, definition, failed)
        return Ending(Phase.FAILED, message, NodeReason.ACTION_FAILED, failed.failure_time)
    kept_back = next(filter(was_kept_back, actions), None)
    reason = NodeReason.CANCELLED if kept_back is None else kept_back.reason
    if any(action.phase is Phase.CANCELLED for action in actions):
        return Ending(Phase.CANCELLED, _cut_short(actions, kept_back), reason)
    if kept_back is not None:
        if all(action.phase is Phase.SKIPPED for action in actions):
            return Ending(Phase.SKIPPED, kept_back.message, reason)
        return Ending(Phase.CANCELLED, _cut_short(actions, kept_back), reason)
    if operation is Operation.REVERT:
        rolled_back = any(action.phase is Phase.SUCCEEDED for action in actions)
        return Ending(
            Phase.SUCCEEDED, messages.WORKFLOW_REVERTED if rolled_back else messages.WORKFLOW_NOTHING_REVERTED
        )
    if all(action.phase is Phase.SKIPPED for action in actions):
        return Ending(Phase.SKIPPED, messages.ALL_ACTIONS_SKIPPED, NodeReason.NOTHING_TO_DO)
    return Ending(Phase.SUCCEEDED, messages.ALL_ACTIONS_COMPLETED)


def stage_ending(
    operation: Operation, definition: StageDefinition, workflows: tuple[WorkflowExecutionStatus, ...]
) -> Ending:
    """Return how a stage ended whose workflows have all ended."""
    failed = [
        (node, workflow)
        for node, workflow in zip(definition.workflows, workflows, strict=True)
        if workflow.phase is Phase.FAILED
    ]
    if failed:
        first = min(failed, key=lambda pair: failure_moment(pair[1]))
        message = _stage_failure(operation, definition, failed, first)
        return Ending(Phase.FAILED, message, NodeReason.WORKFLOW_FAILED, first[1].failure_time)
    cancelled = next((workflow for workflow in workflows if workflow.phase is Phase.CANCELLED), None)
    if cancelled is not None:
        return Ending(Phase.CANCELLED, cancelled.message, cancelled.reason)
    kept_back = list(filter(was_kept_back, workflows))
    if kept_back:
        phase = Phase.SKIPPED if len(kept_back) == len(workflows) else Phase.CANCELLED
        return Ending(phase, kept_back[0].message, kept_back[0].reason)
    if operation is Operation.REVERT:
        rolled_back = sum(_undone(workflow) > 0 for workflow in workflows)
        return Ending(Phase.SUCCEEDED, f"Stage reverted successfully: {rolled_back} workflow(s) rolled back")
    if all(workflow.phase is Phase.SKIPPED for workflow in workflows):
        return Ending(Phase.SUCCEEDED, messages.ALL_WORKFLOWS_SKIPPED)
    return Ending(Phase.SUCCEEDED, "")


def run_ending(definition: RunDefinition, status: DRPlanExecutionStatus, *, cancelled: bool) -> Ending:
    """Return how a run ended whose stages have all ended. What there is to note about the run is in its message."""
    ending = _run_ending(definition, status, cancelled=cancelled)
    return replace(ending, message=f"{ending.message} ({definition.note})") if definition.note else ending


def _run_ending(definition: RunDefinition, status: DRPlanExecutionStatus, *, cancelled: bool) -> Ending:
    if cancelled:
        return Ending(Phase.CANCELLED, messages.EXECUTION_CANCELED)
    failed = [
        (node, stage)
        for node, stage in zip(definition.stages, status.stage_statuses, strict=True)
        if stage.phase is Phase.FAILED
    ]
    if failed:
        return Ending(Phase.FAILED, _run_failure(definition, failed))
    if definition.operation is Operation.REVERT:
        unproven = "" if None in definition.gates else f"; {messages.NOT_VERIFIED}"
        return Ending(Phase.SUCCEEDED, f"{_plan_reverted(status)}{unproven}")
    if _did_nothing(status):
        deletes = definition.mode == Mode.DELETE.lower()
        return (
            Ending(Phase.FAILED, messages.NOTHING_DELETED)
            if deletes
            else Ending(Phase.SUCCEEDED, messages.NOTHING_DONE)
        )
    return Ending(Phase.SUCCEEDED, messages.ALL_STAGES_COMPLETED)


def _did_nothing(status: DRPlanExecutionStatus) -> bool:
    return not any(action.phase is Phase.SUCCEEDED for _, action in each_action(status))


def first_failure(nodes: Iterable[Leaf]) -> Leaf | None:
    """Return the action, or health check, that failed first, the root cause when several did."""
    failed = [node for node in nodes if node.phase is Phase.FAILED]
    return min(failed, key=failure_moment, default=None)


def failure_reason(status: DRPlanExecutionStatus) -> FailureReason:
    """Return why a run failed, by the action or health check that failed first; without any it did nothing."""
    failed = first_failure(action for _, action in each_action(status))
    check = first_failure(status.health_checks)
    if check is not None and (failed is None or failure_moment(check) < failure_moment(failed)):
        return FailureReason.HEALTH_CHECK_FAILED
    if failed is None:
        return FailureReason.NOTHING_DONE if status.stage_statuses else FailureReason.START_REFUSED
    return OF_ACTION.get(failed.reason, FailureReason.ACTION_FAILED)


def failure_moment(node: ActionStatus | WorkflowExecutionStatus | StageStatus | HealthCheckStatus) -> datetime:
    """Return when something failed. Statuses of earlier releases say it by the second of its end only."""
    return node.failure_time or node.completion_time or _NEVER


def _workflow_failure(operation: Operation, definition: WorkflowDefinition, failed: ActionStatus) -> str:
    if operation is Operation.REVERT:
        return f"Failed to rollback action {failed.name}"
    if definition.policy is WorkflowPolicy.CONTINUE:
        return messages.ONE_OR_MORE_ACTIONS_FAILED
    return messages.action_failed(failed.name, failed.message)


def _stage_failure(
    operation: Operation,
    definition: StageDefinition,
    failed: list[tuple[WorkflowDefinition, WorkflowExecutionStatus]],
    first: tuple[WorkflowDefinition, WorkflowExecutionStatus],
) -> str:
    node, workflow = first
    if operation is Operation.REVERT:
        return f"Failed to revert workflow {node.key}"
    if definition.parallel:
        aborted = [w for n, w in failed if n.policy is WorkflowPolicy.FAIL_FAST]
        return min(aborted, key=failure_moment).message if aborted else messages.ONE_OR_MORE_WORKFLOWS_FAILED
    return messages.workflow_failed(node.key, workflow.message if node.policy is WorkflowPolicy.FAIL_FAST else "")


def _run_failure(definition: RunDefinition, failed: list[tuple[StageDefinition, StageStatus]]) -> str:
    node, stage = min(failed, key=lambda pair: failure_moment(pair[1]))
    if definition.operation is Operation.REVERT:
        return _revert_failure(node, stage)
    if stops_plan(definition, node):
        return messages.stage_failed(node.name, stage.message)
    return messages.ONE_OR_MORE_STAGES_FAILED


def stops_plan(definition: RunDefinition, stage: StageDefinition) -> bool:
    """Tell whether a failure of `stage` keeps the rest of the plan from starting (decision P4)."""
    if stage.policy is StagePolicy.FAIL_FAST:
        return definition.policy is PlanPolicy.STOP
    return stage.policy is StagePolicy.STOP


def _revert_failure(node: StageDefinition, stage: StageStatus) -> str:
    failures = [
        (failed, position)
        for position, workflow in enumerate(stage.workflow_executions)
        if (failed := first_failure(workflow.action_statuses)) is not None
    ]
    if not failures:
        return f"Stage {node.name} rollback failed"
    failed, position = min(failures, key=lambda pair: failure_moment(pair[0]))
    return (
        f"Failed to revert stage {node.name}: failed to revert workflow {node.workflows[position].key}: "
        f"failed to rollback action {failed.name}: {failed.message}"
    )


def _plan_reverted(status: DRPlanExecutionStatus) -> str:
    undone = [sum(map(_undone, stage.workflow_executions)) for stage in status.stage_statuses]
    stages = sum(actions > 0 for actions in undone)
    skipped = sum(stage.phase is Phase.SKIPPED for stage in status.stage_statuses)
    return (
        f"Plan reverted successfully: {stages} stage(s) rolled back, {sum(undone)} action(s) rolled back, "
        f"{skipped} stage(s) skipped"
    )


def _undone(workflow: WorkflowExecutionStatus) -> int:
    """Count the actions of a workflow that a Revert took back."""
    return sum(action.phase is Phase.SUCCEEDED for action in workflow.action_statuses)


def _cut_short(actions: tuple[ActionStatus, ...], kept_back: ActionStatus | None) -> str:
    done = sum(action.phase in (Phase.SUCCEEDED, Phase.FAILED) for action in actions)
    cause = messages.CANCELED_BY_USER if kept_back is None else messages.without_lead(kept_back.message)
    return f"{messages.cut_short(done, len(actions))}: {cause}"
