"""What follows from a change without any further event: skips, and the ends of workflows and stages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.engine import messages
from app.engine.cause import CANCELLED, Cause, dependency_failed, nothing_to_do
from app.engine.definition import Address, RunDefinition, StageDefinition, WorkflowDefinition
from app.engine.frontier import Frontier
from app.engine.health import at_gate, closed
from app.engine.outputs import outputs_of_predecessors
from app.engine.policy import (
    blocking_action,
    blocking_stage,
    is_doomed,
    is_ready,
    stage_halt,
    workflow_halt,
)
from app.engine.rollup import Ending, first_failure, stage_ending, workflow_ending
from app.engine.templates import Scope
from app.engine.tree import Node, begun, ended
from app.engine.when import (
    OUTPUT_STEPS,
    Condition,
    EvaluationError,
    WhenError,
    WhenExpression,
    evaluate,
    parse_when,
    reads_outputs,
    shown,
    steps_each,
)
from app.models.execution import ActionStatus, DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import FINAL, Operation, Phase, StagePolicy, WorkflowPolicy
from app.models.reasons import NodeReason


def settle(
    definition: RunDefinition, status: DRPlanExecutionStatus, at: datetime, *, touched: Address | None = None
) -> DRPlanExecutionStatus:
    """Return `status` with all that follows from it: what is skipped, and which workflows and stages have ended.

    Settling twice changes nothing more. `touched` is the address of the one action that has changed since the status
    was settled last; without it everything is looked at.
    """
    frontier = Frontier(definition, status)
    if touched is None or frontier.halt:
        frontier.look_at_all()
    else:
        frontier.look_at(touched.stage)
        if (index := frontier.pop()) is not None:
            _settle_at(definition, frontier, index, at, only=touched.workflow)
    while (index := frontier.pop()) is not None:
        while _settle_at(definition, frontier, index, at):
            pass
    stages = tuple(frontier.stages)
    checks = closed(definition, frontier.checks, stages, at)
    if checks != status.health_checks:
        status = status.model_copy(update={"health_checks": checks})
    if all(new is old for new, old in zip(stages, status.stage_statuses, strict=True)):
        return status
    return status.model_copy(update={"stage_statuses": stages})


def _settle_at(
    definition: RunDefinition, frontier: Frontier, index: int, at: datetime, *, only: int | None = None
) -> bool:
    """Settle a stage in its place, and tell whether that changed anything."""
    stage = frontier.stages[index]
    if stage.phase in FINAL:
        return False
    settled = _settle_stage(definition, frontier, index, at, only=only)
    if settled is not stage:
        frontier.replace(index, settled)
    return settled is not stage


def _settle_stage(
    definition: RunDefinition, frontier: Frontier, index: int, at: datetime, *, only: int | None
) -> StageStatus:
    """Settle a stage. `only` is the one workflow that has changed since it was settled last; None: any may have."""
    node, stage = definition.stages[index], frontier.stages[index]
    is_open = frontier.is_open(index)
    if stage.phase is Phase.PENDING:
        blocker = blocking_stage(definition, frontier.stages, index) if frontier.unfortunate else ""
        cause = frontier.halt or (dependency_failed("stage", blocker) if blocker else None)
        if cause is not None or (is_open and node.skip):
            return _skip_stage(definition.operation, node, stage, cause, at)
    if not is_open:
        return stage
    stage = _settle_workflows(definition, node, stage, at, halt=frontier.halt, only=only)
    if all(workflow.phase in FINAL for workflow in stage.workflow_executions):
        ending = stage_ending(definition.operation, node, stage.workflow_executions)
        if ending.phase is Phase.SUCCEEDED and index in definition.gates and stage.start_time is not None:
            gate = _at_gate(definition, frontier, index, ending, at)
            if gate is None:
                return begun(stage, at)
            ending = gate
        return ended(stage, ending.phase, ending.message, at, reason=ending.reason, failed_at=ending.failed_at)
    return begun(stage, at) if _is_under_way(stage.workflow_executions) else stage


def _at_gate(definition: RunDefinition, frontier: Frontier, index: int, ending: Ending, at: datetime) -> Ending | None:
    """Return how a stage ends whose workflows have succeeded, by its health checks; None while these are made."""
    if frontier.halt == CANCELLED and not any(
        frontier.checks[each].start_time is not None for each in definition.gates[index]
    ):
        return Ending(Phase.CANCELLED, messages.CANCELED_BEFORE_CHECKS, NodeReason.CANCELLED)
    frontier.checks, gate = at_gate(definition, frontier.checks, index, at)
    return ending if gate is not None and gate.phase is Phase.SUCCEEDED else gate


def _settle_workflows(
    definition: RunDefinition,
    node: StageDefinition,
    stage: StageStatus,
    at: datetime,
    *,
    halt: Cause | None,
    only: int | None,
) -> StageStatus:
    keeps_back = halt or stage_halt(node, stage)
    first, last = _concerned(node, None if keeps_back else only)
    workflows = list(stage.workflow_executions)
    done_before, failed, changed = True, False, False
    for position in range(first, last):
        workflow = workflows[position]
        if workflow.phase in FINAL:
            continue
        within = node.workflows[position]
        may_begin = node.parallel or done_before
        if not may_begin and not keeps_back and workflow.phase is Phase.PENDING:
            break  # nor may those behind it
        settled = _settle_workflow(
            definition, within, workflow, at, halt=halt, keeps_back=keeps_back, may_begin=may_begin
        )
        workflows[position], changed = settled, changed or settled is not workflow
        if not keeps_back and node.policy is StagePolicy.FAIL_FAST and is_doomed(within, settled):
            keeps_back, failed = workflow_halt(within), True
        done_before = done_before and settled.phase in FINAL
    if changed:
        stage = stage.model_copy(update={"workflow_executions": tuple(workflows)})
    if failed and only is not None:
        return _settle_workflows(definition, node, stage, at, halt=halt, only=None)
    return stage


def _concerned(node: StageDefinition, only: int | None) -> tuple[int, int]:
    """Return the workflows, from and to, that may change when `only` has: those behind it may begin once it ends."""
    if only is None:
        return 0, len(node.workflows)
    return only, only + 1 if node.parallel else len(node.workflows)


def _settle_workflow(
    definition: RunDefinition,
    node: WorkflowDefinition,
    workflow: WorkflowExecutionStatus,
    at: datetime,
    *,
    halt: Cause | None,
    keeps_back: Cause | None,
    may_begin: bool,
) -> WorkflowExecutionStatus:
    """Settle one workflow. `halt` keeps its actions from starting, `keeps_back` the workflow itself."""
    if workflow.phase is Phase.PENDING:
        if keeps_back:
            return _skip_workflow(definition.operation, node, workflow, keeps_back, at)
        if not may_begin:
            return workflow
        if node.skip:
            return _skip_workflow(definition.operation, node, workflow, None, at)
    actions = _settle_actions(definition, node, workflow.action_statuses, at, halt=halt)
    settled = with_actions(definition.operation, workflow, actions)
    if all(action.phase.is_final for action in actions):
        ending = workflow_ending(definition.operation, node, actions)
        return ended(settled, ending.phase, ending.message, at, reason=ending.reason, failed_at=ending.failed_at)
    return begun(settled, at) if _is_under_way(actions) else settled


def _is_under_way(children: tuple[ActionStatus, ...] | tuple[WorkflowExecutionStatus, ...]) -> bool:
    """Tell whether something has begun; what was skipped beforehand does not count."""
    return any(child.phase not in (Phase.PENDING, Phase.SKIPPED) for child in children)


def with_actions(
    operation: Operation, workflow: WorkflowExecutionStatus, actions: tuple[ActionStatus, ...]
) -> WorkflowExecutionStatus:
    """Return `workflow` with its actions, progress and current action; itself when nothing differs."""
    current = next((action.name for action in actions if action.phase is Phase.RUNNING), "")
    done = sum(action.phase is Phase.SUCCEEDED for action in actions)
    return with_progress(operation, workflow, actions, current=current, done=done)


def with_progress(
    operation: Operation,
    workflow: WorkflowExecutionStatus,
    actions: tuple[ActionStatus, ...],
    *,
    current: str,
    done: int,
) -> WorkflowExecutionStatus:
    """Return `workflow` with its actions, of which the first that runs and the number of succeeded ones are known."""
    progress = f"{done}/{len(actions)} actions {'rolled back' if operation is Operation.REVERT else 'completed'}"
    if actions is workflow.action_statuses and (progress, current) == (workflow.progress, workflow.current_action):
        return workflow
    return workflow.model_copy(update={"action_statuses": actions, "progress": progress, "current_action": current})


def _settle_actions(
    run: RunDefinition,
    definition: WorkflowDefinition,
    actions: tuple[ActionStatus, ...],
    at: datetime,
    *,
    halt: Cause | None,
) -> tuple[ActionStatus, ...]:
    """Settle the actions in the order in which they wait for each other, so that one pass is enough for most."""
    settling = list(actions)
    keeps_back = _failure_cause(definition, settling) or halt
    passed = True
    while passed:
        passed = False
        for index in definition.order:
            action = settling[index]
            if action.phase is not Phase.PENDING:
                continue
            settled = settle_action(run, definition, settling, index, at, keeps_back=keeps_back)
            if settled is not action:
                settling[index], passed = settled, True
                if settled.phase is Phase.FAILED:
                    keeps_back = _failure_cause(definition, settling) or halt
    return tuple(settling) if any(new is not old for new, old in zip(settling, actions, strict=True)) else actions


def settle_action(
    run: RunDefinition,
    definition: WorkflowDefinition,
    actions: Sequence[ActionStatus],
    index: int,
    at: datetime,
    *,
    keeps_back: Cause | None,
) -> ActionStatus:
    """Return what an action that is pending has come to, given the others; itself while nothing follows from them."""
    action = actions[index]
    is_cancelled = keeps_back is not None and keeps_back.reason is NodeReason.CANCELLED
    blocker = "" if is_cancelled else blocking_action(definition, actions, index)
    cause = dependency_failed("action", blocker) if blocker else keeps_back
    if cause is not None:
        return _skipped(action, cause, at)
    if not is_ready(definition, actions, index):
        return action
    node = definition.actions[index]
    if node.skip:
        return _skipped(action, nothing_to_do(node.skip), at)
    if node.fail:
        return ended(action, Phase.FAILED, node.fail, at, reason=NodeReason.CANNOT_ROLL_BACK)
    return _settle_when(run, definition, actions, index, at) if node.when else action


def _settle_when(
    run: RunDefinition, definition: WorkflowDefinition, actions: Sequence[ActionStatus], index: int, at: datetime
) -> ActionStatus:
    """Decide by its condition about an action that may start.

    The answer stays the same until the start is recorded: what the action comes after has ended, so its outputs are
    final, and the parameters are those of the snapshot.
    """
    action = actions[index]
    try:
        condition = parse_when(definition.actions[index].when, run.language)
        outputs = _outputs(condition, run, definition, actions, index)
        scope = Scope(
            params=definition.values,
            plan_name=run.plan_name,
            mode=run.mode,
            outputs=outputs,
            secrets=definition.secrets,
            conditions=run.conditions,
        )
        result = evaluate(condition, scope)
    except WhenError as error:
        return ended(action, Phase.FAILED, str(error), at, reason=NodeReason.CONDITION_INVALID)
    if result.run:
        return action
    return _skipped(action, Cause(NodeReason.CONDITION_FALSE, result.message), at)


def _outputs(
    condition: Condition,
    run: RunDefinition,
    definition: WorkflowDefinition,
    actions: Sequence[ActionStatus],
    index: int,
) -> dict[str, dict[str, str]]:
    """Return the outputs that a condition may look at. Raises `EvaluationError` when handing them over takes long."""
    if isinstance(condition, WhenExpression) or not reads_outputs(condition):
        return {}
    if not condition.reads.any_output:
        return outputs_of_predecessors(definition, actions, index, condition.reads.actions)
    count = definition.before[index].bit_count()
    if count * OUTPUT_STEPS > steps_each(run.conditions):
        why = f"it may look at the outputs of {count} actions, which are too many: name the actions that are meant"
        raise EvaluationError(shown(condition.text), why)
    return outputs_of_predecessors(definition, actions, index)


def _failure_cause(definition: WorkflowDefinition, actions: Sequence[ActionStatus]) -> Cause | None:
    """Return why a failure keeps every further action of a workflow from starting; None when none does."""
    failed = first_failure(actions) if definition.policy is WorkflowPolicy.FAIL_FAST else None
    if failed is None:
        return None
    message = messages.kept_back(f'action "{failed.name}" failed (failurePolicy FailFast)')
    return Cause(NodeReason.FAILURE_POLICY, message)


def _skip_stage(
    operation: Operation, node: StageDefinition, stage: StageStatus, cause: Cause | None, at: datetime
) -> StageStatus:
    workflows = tuple(
        workflow if workflow.phase.is_final else _skip_workflow(operation, workflow_node, workflow, cause, at)
        for workflow_node, workflow in zip(node.workflows, stage.workflow_executions, strict=True)
    )
    skipped = stage.model_copy(update={"workflow_executions": workflows})
    return _skipped(skipped, cause or nothing_to_do(node.skip), at)


def _skip_workflow(
    operation: Operation,
    node: WorkflowDefinition,
    workflow: WorkflowExecutionStatus,
    cause: Cause | None,
    at: datetime,
) -> WorkflowExecutionStatus:
    actions = tuple(
        action if action.phase.is_final else _skipped(action, cause or nothing_to_do(action_node.skip or node.skip), at)
        for action_node, action in zip(node.actions, workflow.action_statuses, strict=True)
    )
    return _skipped(with_actions(operation, workflow, actions), cause or nothing_to_do(node.skip), at)


def _skipped(node: Node, cause: Cause, at: datetime) -> Node:
    return ended(node, Phase.SKIPPED, cause.message, at, reason=cause.reason)
