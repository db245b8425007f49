"""Counts of a status. They are computed from its lists, so they always agree with them (invariant 9; decision D2)."""

from __future__ import annotations

from collections import Counter

from app.engine.tree import each_action
from app.models.execution import DRPlanExecutionStatus, ExecutionSummary
from app.models.phases import Phase


def summarize(status: DRPlanExecutionStatus) -> DRPlanExecutionStatus:
    """Return `status` with `summary` and `progress` as its stages, workflows and actions say."""
    stages = Counter(stage.phase for stage in status.stage_statuses)
    workflows = Counter(w.phase for stage in status.stage_statuses for w in stage.workflow_executions)
    actions = Counter(action.phase for _, action in each_action(status))
    summary = ExecutionSummary(
        total_stages=stages.total(),
        completed_stages=stages[Phase.SUCCEEDED],
        succeeded_stages=stages[Phase.SUCCEEDED],
        running_stages=stages[Phase.RUNNING],
        pending_stages=stages[Phase.PENDING],
        failed_stages=stages[Phase.FAILED],
        skipped_stages=stages[Phase.SKIPPED],
        cancelled_stages=stages[Phase.CANCELLED],
        total_workflows=workflows.total(),
        completed_workflows=workflows[Phase.SUCCEEDED],
        running_workflows=workflows[Phase.RUNNING],
        pending_workflows=workflows[Phase.PENDING],
        failed_workflows=workflows[Phase.FAILED],
        skipped_workflows=workflows[Phase.SKIPPED],
        cancelled_workflows=workflows[Phase.CANCELLED],
        total_actions=actions.total(),
        completed_actions=sum(count for phase, count in actions.items() if phase.is_final),
        succeeded_actions=actions[Phase.SUCCEEDED],
        failed_actions=actions[Phase.FAILED],
        skipped_actions=actions[Phase.SKIPPED],
        cancelled_actions=actions[Phase.CANCELLED],
        running_actions=actions[Phase.RUNNING],
        pending_actions=actions[Phase.PENDING],
    )
    return status.model_copy(update={"summary": summary, "progress": f"{actions[Phase.SUCCEEDED]}/{actions.total()}"})
