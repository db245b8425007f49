"""Conditions of an execution, for `kubectl wait` (decision D3), and the mark of a requested cancel."""

from __future__ import annotations

from datetime import datetime

from app.engine.text import cut
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import Condition, ConditionStatus
from app.models.phases import Phase
from app.models.suspension import Reason

CANCEL_REQUESTED = "CancelRequested"
SUSPENDED = "Suspended"
_REASONS = {Phase.SUCCEEDED: "Succeeded", Phase.FAILED: "Failed", Phase.CANCELLED: "Cancelled"}


def set_condition(
    conditions: tuple[Condition, ...],
    type_: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    at: datetime,
    generation: int,
) -> tuple[Condition, ...]:
    """Return `conditions` with one of them set. Its transition time changes only with its status."""
    old = next((condition for condition in conditions if condition.type == type_), None)
    new = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=cut(message),
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old and old.status == status else at,
    )
    if old is None:
        return (*conditions, new)
    return tuple(new if condition.type == type_ else condition for condition in conditions)


def cancel_requested(status: DRPlanExecutionStatus) -> bool:
    """Tell whether a cancel of the run has been recorded. It is never taken back (invariant 8)."""
    return any(c.type == "Cancelled" and c.reason in (CANCEL_REQUESTED, "Cancelled") for c in status.conditions)


def with_started(status: DRPlanExecutionStatus, at: datetime) -> DRPlanExecutionStatus:
    """Return `status` with the condition `Started`."""
    conditions = set_condition(
        status.conditions, "Started", "True", "Started", "The run has started", at, status.observed_generation
    )
    return status.model_copy(update={"conditions": conditions})


def with_cancel_requested(status: DRPlanExecutionStatus, message: str, at: datetime) -> DRPlanExecutionStatus:
    """Return `status` with the mark that the run is to be cancelled."""
    conditions = set_condition(
        status.conditions, "Cancelled", "False", CANCEL_REQUESTED, message, at, status.observed_generation
    )
    return status.model_copy(update={"conditions": conditions})


def with_suspension(
    status: DRPlanExecutionStatus, message: str, at: datetime, *, reason: Reason | None = None
) -> DRPlanExecutionStatus:
    """Return `status` with the condition `Suspended`, which says why an execution stands still.

    That is a run of phase Unknown, or one that is Pending and does not start by itself. Without `reason` it goes on.
    """
    word: ConditionStatus = "False" if reason is None else "True"
    conditions = set_condition(
        status.conditions, SUSPENDED, word, reason or "Resumed", message, at, status.observed_generation
    )
    return status.model_copy(update={"conditions": conditions})


def resumed_at(status: DRPlanExecutionStatus) -> datetime | None:
    """Return when a run that stood still went on; None when it never stood still, or does so now."""
    found = next((c for c in status.conditions if c.type == "Suspended" and c.status == "False"), None)
    return found.last_transition_time if found is not None else None


def with_ended(status: DRPlanExecutionStatus, at: datetime) -> DRPlanExecutionStatus:
    """Return `status`, whose phase is terminal, with the conditions that say so."""
    phase = status.phase or Phase.FAILED
    reason = _REASONS[phase]
    conditions = status.conditions
    for type_, true in (
        ("Complete", phase is Phase.SUCCEEDED),
        ("Completed", True),
        ("Failed", phase is Phase.FAILED),
        ("Cancelled", phase is Phase.CANCELLED),
    ):
        word: ConditionStatus = "True" if true else "False"
        conditions = set_condition(conditions, type_, word, reason, status.message, at, status.observed_generation)
    return status.model_copy(update={"conditions": conditions})
