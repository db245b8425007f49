"""What follows the end of a run: its target is marked, its plan completed, its lock released. All of it idempotent."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import ValidationError

from app.engine.definition import RunDefinition
from app.engine.history import PlanRun, completed, ended_before_lock, with_lost_lock
from app.engine.record import as_recorded, with_notes_of
from app.engine.revert import mark_reverted, revert_definition
from app.kube.errors import ApiError, Conflict, NotFound, is_transient
from app.kube.fresh import Attempts, read_same
from app.kube.kept import Records
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.phases import Operation
from app.models.plan import DRPlan, DRPlanStatus
from app.models.snapshot import Snapshot
from app.models.stored import members
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.parts import decoded
from controller.endings import records_of, regarding
from controller.plans.status import change_plan_status
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.status_form import shrunk_wire
from controller.status_put import put_status

log = get_logger(__name__)


async def complete(
    services: Services, execution: DRPlanExecution, snapshot: Snapshot | None, *, owned: bool = False
) -> None:
    """Carry a run that has ended over to its target and its plan (decisions D7 and R2a).

    `owned` says that the run surely owned the plan until now, whatever the plan's status says.

    The target goes first: as long as the plan's lock names the run, a crash in between is repaired.
    """
    run = PlanRun.of(execution, target_uid=await mark_target(services, execution, snapshot))

    async def change(plan: DRPlan) -> DRPlanStatus:
        return completed(with_lost_lock(plan.status, run) if owned else plan.status, run)

    plan = await _locked_plan(services, execution)
    await change_plan_status(services, execution.metadata.namespace, execution.spec.plan_ref, change, plan)


async def _locked_plan(services: Services, execution: DRPlanExecution) -> DRPlan | None:
    """Return the plan as the cache has it, if it is locked by the execution: a write that fits it needs no read."""
    stored = services.plans.get(execution.metadata.namespace, execution.spec.plan_ref)
    held = members(members((stored or {}).get("status")).get("currentExecution"))
    if stored is None or held.get("uid") != execution.metadata.uid:
        return None
    try:
        return await decoded(DRPlan, stored)
    except ValidationError:
        return None


async def revert_snapshot(services: Services, execution: DRPlanExecution) -> Snapshot | None:
    """Return the stored snapshot of a Revert, which says what its target is; None when there is none to be had."""
    if execution.spec.operation_type is not Operation.REVERT:
        return None
    try:
        return await services.snapshots.load(execution.metadata.uid)
    except SnapshotDamagedError as error:
        log.error("target of a Revert cannot be marked", execution=execution.metadata.key, error=str(error))
        return None


async def mark_target(services: Services, execution: DRPlanExecution, snapshot: Snapshot | None) -> str:
    """Mark on its target what a Revert that has ended took back; return the target's uid, empty without one.

    It comes before the plan's lock is let go of, whoever does that: a later Revert must find the marks.
    """
    if snapshot is None or snapshot.target is None:
        return ""
    try:
        await _mark_target(services, execution, snapshot)
    except (ApiError, ValidationError, IndexError) as error:
        if isinstance(error, Conflict) or is_transient(error):
            raise
        # what the API server refuses for good must not keep the plan locked for ever
        log.error("target of a Revert cannot be marked", execution=execution.metadata.key, error=str(error))
        message = f"Execution {snapshot.target.name} could not be marked as reverted: {error}"
        services.recorder.emit(regarding(execution.metadata), "Warning", "TargetNotMarked", message)
    return snapshot.target.uid


async def note_unstarted(services: Services, execution: DRPlanExecution) -> None:
    """Record an execution that ended before it owned its plan; done before its own status is written (decision D7)."""
    run = PlanRun.of(execution)

    async def change(plan: DRPlan) -> DRPlanStatus:
        return ended_before_lock(plan.status, run)

    await change_plan_status(services, execution.metadata.namespace, execution.spec.plan_ref, change)


async def _mark_target(services: Services, execution: DRPlanExecution, snapshot: Snapshot) -> None:
    """Mark what a Revert took back on the execution it took back, if that still exists."""
    target = snapshot.target
    if target is None or not execution.status.stage_statuses:
        return
    definition = revert_definition(snapshot)
    attempts = Attempts(f"the status of DRPlanExecution {target.name}")
    while True:
        stored = await read_same(services.kube, EXECUTIONS, execution.metadata.namespace, target.name, target.uid)
        if stored is None:
            await services.snapshots.delete(target.uid)
            return
        taken_back = await decoded(DRPlanExecution, stored)
        records = await records_of(services, taken_back.metadata)
        marks = partial(_marked, taken_back.status, records, definition, execution)
        if (wire := await to_thread(marks)) is None:
            return
        try:
            services.executions.remember(await put_status(services.kube, EXECUTIONS, taken_back.metadata, wire))
        except Conflict:
            attempts.conflict()
            continue
        except NotFound:
            return
        return


def _marked(
    live: DRPlanExecutionStatus, records: Records, definition: RunDefinition, revert: DRPlanExecution
) -> dict[str, Any] | None:
    """Return the status of a target with what was taken back marked, in wire form; None when it has the marks."""
    if records.outcome is not None:
        marked = with_notes_of(as_recorded(records.outcome.status, records.taken_back), live)
    else:
        marked = mark_reverted(live, definition, revert.status, revert.metadata.name)
    return None if marked == live else shrunk_wire(marked)
