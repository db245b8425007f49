"""Conditions of an execution, for `kubectl wait` (decision D3), and the mark of a requested cancel."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from app.engine.text import cut
from app.engine.tree import each_action
from app.models.execution import DRPlanExecutionStatus
from app.models.failures import FailureReason
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


def with_ended(status: DRPlanExecutionStatus, at: datetime, failure: FailureReason) -> DRPlanExecutionStatus:
    """Return `status`, whose phase is terminal, with the conditions that say so, each its own thing.

    `failure` is the reason of `Failed` when it is true; the others have the phase as theirs.
    """
    phase = status.phase or Phase.FAILED
    conditions = status.conditions
    for type_, (true, message) in _ends(status, phase, cancel_requested(status)).items():
        word: ConditionStatus = "True" if true else "False"
        reason = failure.value if true and type_ == "Failed" else _REASONS[phase]
        conditions = set_condition(conditions, type_, word, reason, message, at, status.observed_generation)
    return status.model_copy(update={"conditions": conditions})


def _ends(status: DRPlanExecutionStatus, phase: Phase, cancelled: bool) -> dict[str, tuple[bool, str]]:
    """Return of each condition whether it holds at the end, and what it says."""
    failed = _count(status)[Phase.FAILED]
    so_far = f"; before, {failed} of its actions had failed" if failed else ""
    not_failed = f"The run was cancelled{so_far}" if phase is Phase.CANCELLED else "The run did not fail"
    not_cancelled = "The run ended before its cancel was carried out" if cancelled else "Nobody cancelled the run"
    is_ = {each: phase is each for each in _REASONS}
    return {
        "Complete": (
            is_[Phase.SUCCEEDED],
            status.message if is_[Phase.SUCCEEDED] else f"The run did not succeed; it ended {phase}",
        ),
        "Completed": (True, _account(status, phase)),
        "Failed": (is_[Phase.FAILED], status.message if is_[Phase.FAILED] else not_failed),
        "Cancelled": (is_[Phase.CANCELLED], status.message if is_[Phase.CANCELLED] else not_cancelled),
    }


def _account(status: DRPlanExecutionStatus, phase: Phase) -> str:
    """Say in figures what a run came to."""
    counts = _count(status)
    if not counts:
        return f"The execution ended {phase} before anything was run"
    others = [f"{counts[each]} {each}" for each in (Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED) if counts[each]]
    unhealthy = sum(check.phase is Phase.FAILED for check in status.health_checks)
    others += [f"{unhealthy} health check{'s' if unhealthy > 1 else ''} Failed"] if unhealthy else []
    figures = ", ".join([f"{counts[Phase.SUCCEEDED]} of {counts.total()} actions Succeeded", *others])
    return f"The run ended {phase} after {status.duration}: {figures}"


def _count(status: DRPlanExecutionStatus) -> Counter[Phase]:
    return Counter(action.phase for _, action in each_action(status))
