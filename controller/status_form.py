"""The forms in which a status is stored: counted, as large as permitted, or less if refused (decision D6)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from app.engine.shrink import STATUS_LIMIT, minimal, shrink
from app.engine.summary import summarize
from app.engine.text import cut
from app.models.execution import DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from controller.folding import MOST_INLINE


def lesser_forms(status: DRPlanExecutionStatus) -> tuple[DRPlanExecutionStatus, ...]:
    """Return what may be stored of a status that the API server refuses: first the least that still has the lists."""
    whole = summarize(status) if status.stage_statuses else status
    return minimal(whole), DRPlanExecutionStatus(
        phase=status.phase,
        start_time=status.start_time,
        completion_time=status.completion_time,
        message=cut(status.message, 256),
        progress=whole.progress,
    )


def stored_form(status: DRPlanExecutionStatus) -> DRPlanExecutionStatus:
    """Return a status as it is stored: counted and no larger than permitted."""
    return shrink(summarize(status) if status.stage_statuses else status, size_of)


def wire_of(status: DRPlanExecutionStatus) -> dict[str, Any]:
    """Return the JSON-ready form that is stored: counted and no larger than permitted (invariant 9, decision D6).

    An execution that never began has nothing to count.
    """
    return _sized(status)[0]


def shrunk_wire(status: DRPlanExecutionStatus) -> dict[str, Any]:
    """Return the JSON-ready form of a status, no larger than permitted, with its counts as they are."""
    return _wire(shrink(status, size_of))


async def wire_in_turns(status: DRPlanExecutionStatus) -> dict[str, Any]:
    """What `wire_of` returns; a large status does not hold up the event loop."""
    return (await sized(status))[0]


async def sized(status: DRPlanExecutionStatus) -> tuple[dict[str, Any], int]:
    """What `_sized` returns; of a large status by a thread, so that others have their turn between its parts."""
    nodes = sum(1 + len(each.action_statuses) for stage in status.stage_statuses for each in stage.workflow_executions)
    return await asyncio.to_thread(_sized, status) if nodes > MOST_INLINE else _sized(status)


def _sized(status: DRPlanExecutionStatus) -> tuple[dict[str, Any], int]:
    """What `wire_of` returns, and the bytes of its JSON."""
    whole = summarize(status) if status.stage_statuses else status
    wire = _wire(whole)
    if (size := len(orjson.dumps(wire))) <= STATUS_LIMIT:
        return wire, size
    shrunk = _wire(shrink(whole, size_of))
    return shrunk, len(orjson.dumps(shrunk))


def _wire(status: DRPlanExecutionStatus) -> dict[str, Any]:
    """What `to_wire` returns, made part by part: while one is made, nothing else is done in the process."""
    wire = status.model_copy(update={"stage_statuses": ()}).to_wire()
    stages = [_stage_wire(stage) for stage in status.stage_statuses]
    return {**wire, "stageStatuses": stages} if stages else wire


def _stage_wire(stage: StageStatus) -> dict[str, Any]:
    workflows = stage.workflow_executions
    if len(workflows) + sum(len(each.action_statuses) for each in workflows) <= MOST_INLINE:
        return stage.to_wire()
    wire = stage.model_copy(update={"workflow_executions": ()}).to_wire()
    return {**wire, "workflowExecutions": [_workflow_wire(each) for each in workflows]}


def _workflow_wire(workflow: WorkflowExecutionStatus) -> dict[str, Any]:
    if len(workflow.action_statuses) <= MOST_INLINE:
        return workflow.to_wire()
    wire = workflow.model_copy(update={"action_statuses": ()}).to_wire()
    return {**wire, "actionStatuses": [action.to_wire() for action in workflow.action_statuses]}


def size_of(status: DRPlanExecutionStatus) -> int:
    """Return the bytes that the status's JSON has; escapes make texts up to six times as long."""
    return len(orjson.dumps(_wire(status)))
