"""Ending a run that cannot be taken up again, without losing what it recorded."""

from __future__ import annotations

from datetime import datetime

from app.engine import texts
from app.engine.fold import end_run
from app.engine.tree import ended
from app.models.execution import DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.failures import FailureReason
from app.models.phases import Phase
from app.models.reasons import NodeReason


def abandoned(status: DRPlanExecutionStatus, why: str, at: datetime) -> DRPlanExecutionStatus:
    """Return `status` as Failed: what ran is Failed because nobody knows how it ended, what never began is Skipped."""
    stages = tuple(_stage(stage, why, at) for stage in status.stage_statuses)
    return end_run(
        status.model_copy(update={"stage_statuses": stages}), Phase.FAILED, why, at, reason=FailureReason.RUN_LOST
    )


def _stage(stage: StageStatus, why: str, at: datetime) -> StageStatus:
    if stage.phase.is_final:
        return stage
    workflows = tuple(_workflow(workflow, why, at) for workflow in stage.workflow_executions)
    stage = stage.model_copy(update={"workflow_executions": workflows})
    return ended(stage, *_ending(stage.phase, why), at, reason=NodeReason.RUN_LOST)


def _workflow(workflow: WorkflowExecutionStatus, why: str, at: datetime) -> WorkflowExecutionStatus:
    if workflow.phase.is_final:
        return workflow
    actions = tuple(
        action if action.phase.is_final else ended(action, *_ending(action.phase, why), at, reason=NodeReason.RUN_LOST)
        for action in workflow.action_statuses
    )
    workflow = workflow.model_copy(update={"action_statuses": actions})
    return ended(workflow, *_ending(workflow.phase, why), at, reason=NodeReason.RUN_LOST)


def _ending(phase: Phase, why: str) -> tuple[Phase, str]:
    return (Phase.SKIPPED, texts.kept_back(why)) if phase is Phase.PENDING else (Phase.FAILED, why)
