"""The forms in which a status is stored: counted, as large as permitted, or less if refused (decision D6)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from app.engine.shrink import STATUS_LIMIT, minimal, shrink
from app.engine.summary import summarize
from app.engine.text import cut
from app.models.dumping import dumped
from app.models.execution import DRPlanExecutionStatus
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
    return dumped(shrink(status, size_of))


async def wire_in_turns(status: DRPlanExecutionStatus) -> dict[str, Any]:
    """Return what `wire_of` returns; a large status does not hold up the event loop."""
    return (await sized(status))[0]


async def sized(status: DRPlanExecutionStatus) -> tuple[dict[str, Any], int]:
    """Return what `_sized` returns; of a large status by a thread, so that others have their turn between its parts."""
    nodes = sum(1 + len(each.action_statuses) for stage in status.stage_statuses for each in stage.workflow_executions)
    return await asyncio.to_thread(_sized, status) if nodes > MOST_INLINE else _sized(status)


def _sized(status: DRPlanExecutionStatus) -> tuple[dict[str, Any], int]:
    """Return what `wire_of` returns, and the bytes of its JSON."""
    whole = summarize(status) if status.stage_statuses else status
    wire = dumped(whole)
    if (size := len(orjson.dumps(wire))) <= STATUS_LIMIT:
        return wire, size
    shrunk = dumped(shrink(whole, size_of))
    return shrunk, len(orjson.dumps(shrunk))


def as_is(status: DRPlanExecutionStatus) -> tuple[dict[str, Any], int]:
    """Return the JSON-ready form of a status as it is, and the bytes of its JSON."""
    wire = dumped(status)
    return wire, len(orjson.dumps(wire))


def size_of(status: DRPlanExecutionStatus) -> int:
    """Return the bytes that the status's JSON has; escapes make texts up to six times as long."""
    return len(orjson.dumps(dumped(status)))
