"""What a failure or a cancel keeps from starting, and what may be under way (decisions P3 to P5).

| policy | after a failure |
|---|---|
| workflow FailFast | no further action of the workflow starts; the workflow is bound to fail |
| workflow Continue | actions that do not depend on the failed one go on; the workflow fails at its end |
| stage Stop | nothing more starts in the whole plan as soon as a workflow of the stage is bound to fail |
| stage FailFast | no further workflow of the stage starts, running ones finish; then the plan's policy decides |
| stage Continue | everything goes on that does not depend on the stage |
| plan Stop, Continue | the stage's policy when the stage has none |
"""

from __future__ import annotations

from collections.abc import Sequence

from app.engine import messages
from app.engine.cause import Cause, was_kept_back
from app.engine.definition import RunDefinition, StageDefinition, WorkflowDefinition
from app.engine.rollup import stops_plan
from app.models.execution import ActionStatus, DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Phase, StagePolicy, WorkflowPolicy
from app.models.reasons import NodeReason


def halts(definition: RunDefinition, node: StageDefinition, stage: StageStatus) -> bool:
    """Tell whether a stage keeps everything from starting that has not begun yet."""
    if stage.phase is Phase.FAILED:
        return stops_plan(definition, node)
    return stage.phase is Phase.RUNNING and node.policy is StagePolicy.STOP and doomed_workflow(node, stage) is not None


def doomed_workflow(node: StageDefinition, stage: StageStatus) -> WorkflowDefinition | None:
    """Return the first workflow of a stage that has failed or is bound to."""
    for definition, workflow in zip(node.workflows, stage.workflow_executions, strict=True):
        if is_doomed(definition, workflow):
            return definition
    return None


def is_doomed(definition: WorkflowDefinition, workflow: WorkflowExecutionStatus) -> bool:
    """Tell whether a workflow has failed, or will whatever its remaining actions do and so starts nothing more."""
    if workflow.phase.is_final or definition.policy is not WorkflowPolicy.FAIL_FAST:
        return workflow.phase is Phase.FAILED
    return any(action.phase is Phase.FAILED for action in workflow.action_statuses)


def stage_halt(node: StageDefinition, stage: StageStatus) -> Cause | None:
    """Return why no further workflow of a stage may start; None when they may."""
    if node.policy is not StagePolicy.FAIL_FAST:
        return None
    doomed = doomed_workflow(node, stage)
    return workflow_halt(doomed) if doomed else None


def workflow_halt(definition: WorkflowDefinition) -> Cause:
    """Return why no further workflow starts of a FailFast stage in which this one is bound to fail."""
    message = messages.kept_back(f"workflow {definition.key} failed (failurePolicy FailFast)")
    return Cause(NodeReason.FAILURE_POLICY, message)


def blocking_stage(definition: RunDefinition, stages: Sequence[StageStatus], index: int) -> str:
    """Return the name of a stage that this one depends on and that did not succeed; empty when there is none."""
    for need in definition.stages[index].needs:
        stage = stages[need]
        if stage.phase.is_final and stage.phase is not Phase.SUCCEEDED:
            return stage.name
    return ""


def blocking_action(definition: WorkflowDefinition, actions: Sequence[ActionStatus], index: int) -> str:
    """Return the name of an action that this one depends on and that failed or never ran because of a failure.

    An action that was skipped for its own `when` does not block (contract: actions 11).
    """
    for need in definition.actions[index].needs:
        action = actions[need]
        if action.phase in (Phase.FAILED, Phase.CANCELLED):
            return action.name
        if was_kept_back(action):
            return action.name
    return ""


def open_stages(definition: RunDefinition, status: DRPlanExecutionStatus) -> list[int]:
    """Return the stages that run or may begin now: in spec order, as many as the plan allows (decision P3)."""
    statuses = status.stage_statuses
    opened = [index for index, stage in enumerate(statuses) if stage.phase is Phase.RUNNING]
    for index, stage in enumerate(statuses):
        if len(opened) >= definition.max_parallel_stages:
            break
        needs = definition.stages[index].needs
        if stage.phase is Phase.PENDING and all(statuses[need].phase is Phase.SUCCEEDED for need in needs):
            opened.append(index)
    return sorted(opened)


def open_workflows(node: StageDefinition, stage: StageStatus) -> list[int]:
    """Return the workflows of an open stage that run or may begin now."""
    unfinished = [index for index, workflow in enumerate(stage.workflow_executions) if not workflow.phase.is_final]
    return unfinished if node.parallel else unfinished[:1]


def is_ready(definition: WorkflowDefinition, actions: Sequence[ActionStatus], index: int) -> bool:
    """Tell whether everything that an action of an open workflow waits for has ended."""
    return actions[index].phase is Phase.PENDING and all(
        actions[earlier].phase.is_final for earlier in definition.actions[index].after
    )
