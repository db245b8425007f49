"""What follows from a change without any further event: skips, and the ends of workflows and stages."""

from __future__ import annotations

from datetime import datetime

from app.engine import texts
from app.engine.definition import ActionDefinition, RunDefinition, StageDefinition, WorkflowDefinition
from app.engine.policy import (
    blocking_action,
    blocking_stage,
    halt_message,
    is_open,
    is_ready,
    open_stages,
    stage_halt_message,
)
from app.engine.rollup import first_failure, stage_ending, workflow_ending
from app.engine.tree import ended, replaced, with_stage, with_workflow
from app.engine.when import WhenError, evaluate, parse_when
from app.models.execution import ActionStatus, DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Operation, Phase, WorkflowPolicy


def settle(definition: RunDefinition, status: DRPlanExecutionStatus, at: datetime) -> DRPlanExecutionStatus:
    """Return `status` with everything drawn that follows from it. Settling twice changes nothing more."""
    while True:
        index, stage = _next_change(definition, status, at)
        if stage is None:
            return status
        status = with_stage(status, index, stage)


def _next_change(
    definition: RunDefinition, status: DRPlanExecutionStatus, at: datetime
) -> tuple[int, StageStatus | None]:
    halt = halt_message(definition, status)
    opened = frozenset(open_stages(definition, status))
    for index, stage in enumerate(status.stage_statuses):
        if stage.phase.is_final:
            continue
        settled = _settle_stage(definition, status, index, at, halt=halt, is_opened=index in opened)
        if settled is not stage:
            return index, settled
    return -1, None


def _settle_stage(
    definition: RunDefinition, status: DRPlanExecutionStatus, index: int, at: datetime, *, halt: str, is_opened: bool
) -> StageStatus:
    node, stage = definition.stages[index], status.stage_statuses[index]
    if stage.phase is Phase.PENDING:
        blocker = blocking_stage(definition, status, index)
        reason = halt or (texts.dependency_failed("stage", blocker) if blocker else "")
        if reason or (is_opened and node.skip):
            return _skip_stage(definition.operation, node, stage, reason, at)
    if not is_opened:
        return stage
    for position, workflow in enumerate(stage.workflow_executions):
        if not workflow.phase.is_final:
            settled = _settle_workflow(definition, node, stage, position, at, halt=halt)
            if settled is not workflow:
                stage = with_workflow(stage, position, settled)
    if all(workflow.phase.is_final for workflow in stage.workflow_executions):
        ending = stage_ending(definition.operation, node, stage.workflow_executions)
        return ended(stage, ending.phase, ending.message, at)
    return stage


def _settle_workflow(
    definition: RunDefinition, node: StageDefinition, stage: StageStatus, index: int, at: datetime, *, halt: str
) -> WorkflowExecutionStatus:
    workflow, workflow_node = stage.workflow_executions[index], node.workflows[index]
    if workflow.phase is Phase.PENDING:
        reason = halt or stage_halt_message(node, stage)
        if reason:
            return _skip_workflow(definition.operation, workflow_node, workflow, reason, at)
        if not is_open(node, stage, index):
            return workflow
        if workflow_node.skip:
            return _skip_workflow(definition.operation, workflow_node, workflow, "", at)
    actions = _settle_actions(workflow_node, workflow.action_statuses, definition.mode, at, halt=halt)
    settled = with_actions(definition.operation, workflow, actions)
    if all(action.phase.is_final for action in actions):
        ending = workflow_ending(definition.operation, workflow_node, actions)
        return ended(settled, ending.phase, ending.message, at)
    return settled


def with_actions(
    operation: Operation, workflow: WorkflowExecutionStatus, actions: tuple[ActionStatus, ...]
) -> WorkflowExecutionStatus:
    """Return `workflow` with its actions, progress and current action; itself when nothing differs."""
    current = next((action.name for action in actions if action.phase is Phase.RUNNING), "")
    if operation is Operation.REVERT:
        done = sum(action.phase is Phase.SUCCEEDED for action in actions)
        progress = f"{done}/{len(actions)} actions rolled back"
    else:
        done = sum(action.phase.is_final for action in actions)
        progress = f"{done}/{len(actions)} actions completed"
    if actions is workflow.action_statuses and (progress, current) == (workflow.progress, workflow.current_action):
        return workflow
    return workflow.model_copy(update={"action_statuses": actions, "progress": progress, "current_action": current})


def _settle_actions(
    definition: WorkflowDefinition, actions: tuple[ActionStatus, ...], mode: str, at: datetime, *, halt: str
) -> tuple[ActionStatus, ...]:
    changed = True
    while changed:
        changed = False
        for index, action in enumerate(actions):
            if action.phase is Phase.PENDING:
                settled = _settle_action(definition, actions, index, mode, at, halt=halt)
                if settled is not action:
                    actions, changed = replaced(actions, index, settled), True
    return actions


def _settle_action(
    definition: WorkflowDefinition, actions: tuple[ActionStatus, ...], index: int, mode: str, at: datetime, *, halt: str
) -> ActionStatus:
    action = actions[index]
    reason = _kept_back_by(definition, actions, index) or halt
    if reason:
        return ended(action, Phase.SKIPPED, reason, at)
    if not is_ready(definition, actions, index):
        return action
    node = definition.actions[index]
    if node.skip:
        return ended(action, Phase.SKIPPED, node.skip, at)
    if node.fail:
        return ended(action, Phase.FAILED, node.fail, at)
    return _settle_when(node, action, mode, at)


def _settle_when(node: ActionDefinition, action: ActionStatus, mode: str, at: datetime) -> ActionStatus:
    if not node.when:
        return action
    try:
        result = evaluate(parse_when(node.when), mode)
    except WhenError as error:
        return ended(action, Phase.FAILED, str(error), at)
    return action if result.run else ended(action, Phase.SKIPPED, result.message, at)


def _kept_back_by(definition: WorkflowDefinition, actions: tuple[ActionStatus, ...], index: int) -> str:
    blocker = blocking_action(definition, actions, index)
    if blocker:
        return texts.dependency_failed("action", blocker)
    if definition.policy is WorkflowPolicy.FAIL_FAST:
        failed = first_failure(actions)
        if failed is not None:
            return texts.kept_back(f'action "{failed.name}" failed (failurePolicy FailFast)')
    return ""


def _skip_stage(
    operation: Operation, node: StageDefinition, stage: StageStatus, reason: str, at: datetime
) -> StageStatus:
    workflows = tuple(
        _skip_workflow(operation, workflow_node, workflow, reason, at)
        for workflow_node, workflow in zip(node.workflows, stage.workflow_executions, strict=True)
    )
    skipped = stage.model_copy(update={"workflow_executions": workflows})
    return ended(skipped, Phase.SKIPPED, reason or node.skip, at)


def _skip_workflow(
    operation: Operation, node: WorkflowDefinition, workflow: WorkflowExecutionStatus, reason: str, at: datetime
) -> WorkflowExecutionStatus:
    actions = tuple(
        ended(action, Phase.SKIPPED, reason or action_node.skip or node.skip, at)
        for action_node, action in zip(node.actions, workflow.action_statuses, strict=True)
    )
    return ended(with_actions(operation, workflow, actions), Phase.SKIPPED, reason or node.skip, at)
