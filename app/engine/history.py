"""The plan's lock and its history (decisions D7 and D8; contract: lifecycle 7). All comparisons are by uid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.engine.text import cut
from app.models.execution import DRPlanExecution
from app.models.phases import Operation, Phase, PlanPhase
from app.models.plan import HISTORY_LIMIT, CurrentExecution, DRPlanStatus, ExecutionRecord


@dataclass(frozen=True, slots=True)
class PlanRun:
    """What the plan records of an execution."""

    name: str
    namespace: str
    uid: str
    operation: Operation
    phase: Phase
    start_time: datetime | None
    completion_time: datetime | None
    message: str = ""
    target_uid: str = ""
    target_name: str = ""

    @classmethod
    def of(cls, execution: DRPlanExecution, *, target_uid: str = "") -> PlanRun:
        """Return what the plan records of `execution` as it stands."""
        return cls(
            name=execution.metadata.name,
            namespace=execution.metadata.namespace,
            uid=execution.metadata.uid,
            operation=execution.spec.operation_type,
            phase=execution.phase,
            start_time=execution.status.start_time,
            completion_time=execution.status.completion_time,
            message=execution.status.message,
            target_uid=target_uid,
            target_name=execution.spec.revert_execution_ref,
        )


def holds_lock(plan: DRPlanStatus, uid: str) -> bool:
    """Tell whether the execution `uid` owns the plan."""
    return plan.current_execution is not None and plan.current_execution.uid == uid


def with_lock(plan: DRPlanStatus, run: PlanRun) -> DRPlanStatus:
    """Return the plan's status with `run` as its owner and its record, phase Running, on top of the history.

    An older record of the run goes: one the Go operator left unfinished, or one of an end that was never written to
    the execution itself, which now runs after all.
    """
    others = (old for old in plan.execution_history if not _same(old, run.uid, run.name))
    update: dict[str, Any] = {
        "current_execution": CurrentExecution(name=run.name, namespace=run.namespace, uid=run.uid),
        "execution_history": (_record(run, Phase.RUNNING), *others)[:HISTORY_LIMIT],
    }
    return plan.model_copy(update=update)


def without_lock(plan: DRPlanStatus, uid: str) -> DRPlanStatus:
    """Return the plan's status without the lock of an execution that has run nothing, and without its record."""
    if not holds_lock(plan, uid):
        return plan
    others = tuple(old for old in plan.execution_history if old.uid != uid or _ended(old))
    return plan.model_copy(update={"current_execution": None, "execution_history": others})


def completed(plan: DRPlanStatus, run: PlanRun) -> DRPlanStatus:
    """Return the plan's status after `run` has ended; the same object when there is nothing to change.

    Only the run that owns the plan changes more than its own unfinished record, and only once: with the lock gone,
    restarts and old executions change nothing (decision D7). A failed or cancelled run leaves phase and
    lastExecutionRef alone.
    """
    owns = holds_lock(plan, run.uid)
    history = _with_record(plan, _record(run, run.phase), add=owns, anew=owns)
    update: dict[str, Any] = {"execution_history": history}
    if holds_lock(plan, run.uid):
        update["current_execution"] = None
        if run.phase is Phase.SUCCEEDED:
            update["last_execution_ref"] = run.name
            update["last_execution_time"] = run.completion_time
            update["last_execution_operation"] = run.operation.value
            if plan.phase is not PlanPhase.INVALID:
                update["phase"] = PlanPhase.EXECUTED if run.operation is Operation.EXECUTE else PlanPhase.READY
            if run.operation is Operation.REVERT:
                update["execution_history"] = _marked_reverted(update["execution_history"], run)
    changed = plan.model_copy(update=update)
    return plan if changed == plan else changed


def with_lost_lock(plan: DRPlanStatus, run: PlanRun) -> DRPlanStatus:
    """Return the plan's status with the lock of a run that owned it until now, if somebody took that away.

    A plan that has another owner, or knows the run to have ended, stays as it is.
    """
    if plan.current_execution is not None or ended_record(plan, run.uid) is not None:
        return plan
    return with_lock(plan, run)


def ended_before_lock(plan: DRPlanStatus, run: PlanRun) -> DRPlanStatus:
    """Return the plan's status with the record of a run that ended before it owned the plan (decision D7)."""
    return plan.model_copy(update={"execution_history": _with_record(plan, _record(run, run.phase), add=True)})


def ended_record(plan: DRPlanStatus, uid: str) -> ExecutionRecord | None:
    """Return the record of a run that the plan knows to have ended, whatever its own status says so far."""
    return next((record for record in plan.execution_history if record.uid == uid and _ended(record)), None)


def without_stale_lock(plan: DRPlanStatus, at: datetime) -> DRPlanStatus:
    """Return the plan's status without its lock, whose execution was seen to be gone at `at`."""
    held = plan.current_execution
    if held is None:
        return plan
    history = tuple(
        record.model_copy(
            update={
                "phase": Phase.CANCELLED.value,
                "completion_time": record.completion_time or at,
                "message": "The execution is gone",
            }
        )
        if _same(record, held.uid, held.name) and not _ended(record)
        else record
        for record in plan.execution_history
    )
    return plan.model_copy(update={"current_execution": None, "execution_history": history})


def last_successful_operation(plan: DRPlanStatus) -> str:
    """Return the type of the last successful operation, or empty (decision D8).

    Plans that an earlier release completed have it in their history, as long as that goes back.
    """
    if plan.last_execution_operation:
        return plan.last_execution_operation
    for record in plan.execution_history:
        if record.name == plan.last_execution_ref and record.phase == Phase.SUCCEEDED:
            return record.operation_type
    return ""


def valid_phase(plan: DRPlanStatus) -> PlanPhase:
    """Return the phase of a valid plan: Executed when the last successful operation was an Execute, else Ready."""
    operation = last_successful_operation(plan)
    if operation:
        return PlanPhase.EXECUTED if operation == Operation.EXECUTE else PlanPhase.READY
    return PlanPhase.EXECUTED if plan.phase is PlanPhase.EXECUTED else PlanPhase.READY


def _record(run: PlanRun, phase: Phase) -> ExecutionRecord:
    return ExecutionRecord(
        name=run.name,
        namespace=run.namespace,
        uid=run.uid,
        operation_type=run.operation.value,
        phase=phase.value,
        start_time=run.start_time,
        completion_time=run.completion_time,
        message=cut(run.message, 256),
    )


def _with_record(
    plan: DRPlanStatus, record: ExecutionRecord, *, add: bool, anew: bool = False
) -> tuple[ExecutionRecord, ...]:
    """Return the history with `record` in place of the run's own one, else on top if it may be added; at most ten.

    A record that says that the run has ended stays, unless it is to be written `anew`: while a run owns the plan, only
    somebody else can have written that.
    """
    history = plan.execution_history
    for index, old in enumerate(history):
        if _same(old, record.uid, record.name):
            if _ended(old) and old.uid and not anew:
                return history
            merged = record.model_copy(
                update={
                    "start_time": record.start_time or old.start_time,
                    "completion_time": record.completion_time or old.completion_time,
                    "reverted_by": old.reverted_by,
                }
            )
            return (*history[:index], merged, *history[index + 1 :])
    return (record, *history)[:HISTORY_LIMIT] if add else history


def _same(record: ExecutionRecord, uid: str, name: str) -> bool:
    """Tell whether a record is of this run. Those of the Go operator have no uid: there the name counts."""
    if record.uid and uid:
        return record.uid == uid
    return record.name == name and not _ended(record)


def _ended(record: ExecutionRecord) -> bool:
    try:
        return Phase(record.phase).is_final
    except ValueError:
        return False


def _marked_reverted(history: tuple[ExecutionRecord, ...], run: PlanRun) -> tuple[ExecutionRecord, ...]:
    """Mark the target's record: the one of its uid, else the newest Execute of its name."""
    for index, record in enumerate(history):
        by_uid = record.uid and run.target_uid
        is_target = record.uid == run.target_uid if by_uid else record.name == run.target_name
        if is_target and record.operation_type == Operation.EXECUTE:
            marked = record.model_copy(update={"reverted_by": run.name})
            return (*history[:index], marked, *history[index + 1 :])
    return history
