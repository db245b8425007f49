"""Folding events into the status of a run without holding up the event loop."""

from __future__ import annotations

import asyncio

from app.engine.definition import RunDefinition
from app.engine.events import Event
from app.engine.fold import fold_all
from app.models.execution import DRPlanExecutionStatus

MOST_INLINE = 300
"""Stages, workflows, actions and dependencies of a run that is folded in the event loop. A larger one is by a thread:
that costs time, but lets others have the interpreter in between."""


async def folded(definition: RunDefinition, status: DRPlanExecutionStatus, *events: Event) -> DRPlanExecutionStatus:
    """Return the status after `events`, for which `fold` raises what it raises."""
    if definition.size <= MOST_INLINE:
        return fold_all(definition, status, events)
    return await asyncio.to_thread(fold_all, definition, status, events)
