"""What a run's progress looks like to others: log lines, and Events within a budget."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.types import FilteringBoundLogger

from app.engine import kube_events
from app.engine.definition import RunDefinition
from app.kube.events import EventRecorder
from app.models.execution import DRPlanExecutionStatus
from app.runtime import metrics

ORDINARY_EVENTS = 50
"""Ordinary action events that one run writes at most (decision O1)."""

NOTES_IN_A_ROW = 50
"""What is told of a run before others have their turn: a failure may keep back thousands of actions."""


class Telling:
    """Tells what changed in the status of one run."""

    def __init__(self, recorder: EventRecorder, stored: dict[str, Any], log: FilteringBoundLogger) -> None:
        self._recorder = recorder
        self._stored = stored
        self._log = log
        self._events_left = ORDINARY_EVENTS

    async def changes(self, definition: RunDefinition, old: DRPlanExecutionStatus, new: DRPlanExecutionStatus) -> None:
        """Log what is different in `new`, and write Events of it: of ordinary steps only the first."""
        for number, note in enumerate(kube_events.changes(definition, old, new), start=1):
            if number % NOTES_IN_A_ROW == 0:
                await asyncio.sleep(0)
            self._log.info(note.message, reason=note.reason, **note.where())
            if note.ordinary:
                if self._events_left <= 0:
                    metrics.events_dropped_total.labels(reason="ordinary").inc()
                    continue
                self._events_left -= 1
            self._recorder.emit(self._stored, note.type, note.reason, note.message, series=note.series)
