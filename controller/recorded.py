"""What is recorded of a run: its stored status and the journal's later events (invariant 1)."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.definition import RunDefinition
from app.engine.fold import IllegalEventError, fold
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.runtime.logging import get_logger
from controller.journal import Entry

log = get_logger(__name__)


def recorded_status(
    definition: RunDefinition, execution: DRPlanExecution, entries: Sequence[Entry]
) -> DRPlanExecutionStatus:
    """Return the status as the last committed of a run's `entries` has left it."""
    status = execution.status
    for entry in entries:
        if entry.sequence <= status.journal_sequence:
            continue
        try:
            status = fold(definition, status, entry.event)
        except IllegalEventError as error:
            log.error("journal event does not fit", execution=execution.metadata.key, error=str(error))
        status = status.model_copy(update={"journal_sequence": entry.sequence})
    return status
