"""May an execution that has not run begin? Decided from what has been read; nothing here reads or writes.

Asked in the order in which the answers cost reads: by the execution alone, by its plan, and by who else runs that plan.
The last is asked again inside the write that locks the plan (invariant 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.engine.history import ended_record
from app.engine.wishes import asks
from app.models.execution import DRPlanExecution
from app.models.failures import FailureReason
from app.models.names import RESUME_ANNOTATION, START_RESTORED_ANNOTATION
from app.models.phases import Phase, PlanPhase
from app.models.plan import DRPlan
from app.models.suspension import Reason
from app.rules.execution import already_running, known_invalid
from controller.executions import cancel_message, restored_from_backup
from controller.verdict import Again, End, Go, Verdict, Wait

VALIDATION_PATIENCE = 60.0
"""Seconds that an execution waits for its plan to be validated, from when the controller first sees it wait."""
VALIDATION_POLL = 2.0


@dataclass(frozen=True, slots=True)
class Rival:
    """Another execution of the plan that ran when this one was created; `is_completing`: its end is being recorded."""

    name: str
    is_completing: bool = False


def by_itself(execution: DRPlanExecution, led_since: datetime, resume_within: float) -> Verdict:
    """Return what the execution alone says.

    `led_since` is when this process took over. What was created `resume_within` seconds before that, or longer ago, was
    meant for then; it may also come with an old snapshot of etcd, or with a backup (decision D9).
    """
    metadata = execution.metadata
    if (end := called_off(execution)) is not None:
        # one that is cancelled is let in, so that its cancel is recorded
        return end if metadata.deletion_timestamp is not None else Go()
    if restored_from_backup(execution):
        return Wait(
            "This execution was restored from a backup and does not start by itself; annotate it with "
            f'{START_RESTORED_ANNOTATION}: "true" to start it, or delete it',
            reason=Reason.RESTORED_FROM_BACKUP,
        )
    wanted = any(asks(metadata.annotations, name) for name in (RESUME_ANNOTATION, START_RESTORED_ANNOTATION))
    created = metadata.creation_timestamp or led_since
    if (led_since - created).total_seconds() <= resume_within or wanted:
        return Go()
    return Wait(
        f"This execution was created at {created:%Y-%m-%dT%H:%M:%SZ}, long before a controller could start it, and "
        f'does not start by itself; annotate it with {RESUME_ANNOTATION}: "true" to start it, or delete it',
        reason=Reason.CREATED_LONG_AGO,
    )


def called_off(execution: DRPlanExecution) -> End | None:
    """Return the end of an execution that was cancelled or deleted; None when nobody did."""
    why = cancel_message(execution)
    return End(Phase.CANCELLED, why) if why else None


def by_plan(execution: DRPlanExecution, plan: DRPlan | None, unreadable: str, patience: float) -> Verdict:
    """Return what the plan says, as read; `unreadable` is why it could not be.

    `patience` are the seconds that the execution may still wait for the plan to be validated (decision P2).
    """
    name = execution.spec.plan_ref
    if unreadable:
        return End(Phase.FAILED, unreadable, FailureReason.PLAN_NOT_READY)
    if plan is None:
        why = f'plan not found: drplans.dr.bkbcs.tencent.com "{name}" not found'
        return End(Phase.FAILED, why, FailureReason.PLAN_NOT_READY)
    if known_invalid(plan):
        why = f"plan {name} is not ready (phase={PlanPhase.INVALID})"
        return End(Phase.FAILED, why, FailureReason.PLAN_NOT_READY)
    if plan.status.observed_generation == plan.metadata.generation:
        return Go()
    if patience > 0:
        return Wait(f"Waiting until plan {name} has been validated", min(patience, VALIDATION_POLL))
    return End(
        Phase.FAILED,
        f"plan {name} was not validated within {VALIDATION_PATIENCE:.0f} s; see the controller's log for why, then "
        "create a new execution",
        FailureReason.PLAN_NOT_READY,
    )


def by_history(execution: DRPlanExecution, plan: DRPlan) -> Verdict:
    """Return what the plan's history says of an execution that may have run before, without a record of that."""
    record = ended_record(plan.status, execution.metadata.uid)
    if record is None:
        return Go()
    return End(
        Phase.FAILED,
        f"the history of plan {execution.spec.plan_ref} says that this execution ended {record.phase}, and nothing "
        "else does; nothing was run. Create a new execution",
    )


def by_rival(execution: DRPlanExecution, rival: Rival | None) -> Verdict:
    """Return what another execution of the plan says that ran when this one was created, though it may have ended."""
    if rival is None:
        return Go()
    if rival.is_completing:
        return Again(f"the run of plan {execution.spec.plan_ref} is being completed")
    why = already_running(execution.spec.plan_ref, execution.metadata.namespace, rival.name)
    return End(Phase.FAILED, why, FailureReason.PLAN_BUSY)
