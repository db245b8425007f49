"""What is recorded of a run: its stored status and the journal's later events (invariant 1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.engine.definition import RunDefinition
from app.engine.fold import IllegalEventError, fold, initial_status
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from app.runtime.logging import get_logger
from controller.journal import Entry

log = get_logger(__name__)


def first_status(
    snapshot: Snapshot, definition: RunDefinition, execution: DRPlanExecution, at: datetime
) -> DRPlanExecutionStatus:
    """Return the status of a run that has just taken its plan."""
    return initial_status(
        definition, at, generation=execution.metadata.generation, resolved_params=snapshot.resolved_params
    )


def recorded_status(
    snapshot: Snapshot, definition: RunDefinition, execution: DRPlanExecution, entries: Sequence[Entry]
) -> DRPlanExecutionStatus:
    """Return the status as the last committed of a run's `entries` has left it.

    A run's first status and its first entry are written at the same time. Where a crash let only the entry through,
    the first status is made again.
    """
    status = execution.status
    if execution.phase is Phase.PENDING and entries:
        status = first_status(snapshot, definition, execution, entries[0].event.at)
    for entry in entries:
        if entry.sequence <= status.journal_sequence:
            continue
        try:
            status = fold(definition, status, entry.event)
        except IllegalEventError as error:
            log.error("journal event does not fit", execution=execution.metadata.key, error=str(error))
        status = status.model_copy(update={"journal_sequence": entry.sequence})
    return status
