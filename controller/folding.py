"""Computing what a run comes to without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from app.engine.definition import RunDefinition
from app.engine.events import Event
from app.engine.fold import fold_all
from app.models.execution import DRPlanExecutionStatus

T = TypeVar("T")

MOST_INLINE = 300
"""Stages, workflows, actions and dependencies of a run that is computed in the event loop. A larger one is by a thread:
that costs time, but lets others have the interpreter in between."""


async def computed(definition: RunDefinition, compute: Callable[[], T]) -> T:
    """Return what `compute`, a pure function of a run, returns or raises."""
    if definition.size <= MOST_INLINE:
        return compute()
    return await asyncio.to_thread(compute)


async def folded(definition: RunDefinition, status: DRPlanExecutionStatus, *events: Event) -> DRPlanExecutionStatus:
    """Return the status after `events`, for which `fold` raises what it raises."""
    return await computed(definition, lambda: fold_all(definition, status, events))
