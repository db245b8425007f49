"""What is recorded of a run: its stored status and the journal's later events (invariant 1)."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.definition import RunDefinition
from app.engine.fold import IllegalEventError, fold, fold_all
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.runtime.logging import get_logger
from controller.journal import Entry

log = get_logger(__name__)


def recorded_status(
    definition: RunDefinition, execution: DRPlanExecution, entries: Sequence[Entry]
) -> DRPlanExecutionStatus:
    """Return the status as the last committed of a run's `entries` has left it."""
    status = execution.status
    later = sorted((e for e in entries if e.sequence > status.journal_sequence), key=lambda entry: entry.sequence)
    if not later:
        return status
    try:
        status = fold_all(definition, status, [entry.event for entry in later])
    except IllegalEventError:
        status = _as_far_as_it_fits(definition, execution, later)
    return status.model_copy(update={"journal_sequence": later[-1].sequence})


def _as_far_as_it_fits(
    definition: RunDefinition, execution: DRPlanExecution, later: Sequence[Entry]
) -> DRPlanExecutionStatus:
    """Fold one event after the other, and leave out what cannot follow."""
    status = execution.status
    for entry in later:
        try:
            status = fold(definition, status, entry.event)
        except IllegalEventError as error:
            log.error("journal event does not fit", execution=execution.metadata.key, error=str(error))
    return status
