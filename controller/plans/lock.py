"""A plan's lock: who holds it, whether that is sound, and when it is let go of (decisions D7, D8; invariant 4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from app.engine.history import PlanRun, completed, holds_lock, with_lock, without_lock, without_stale_lock
from app.kube.fresh import read_same
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution
from app.models.failures import FailureReason
from app.models.meta import ObjectMeta
from app.models.phases import Phase, has_ended
from app.models.plan import CurrentExecution, DRPlan, DRPlanStatus
from app.models.stored import items, members
from app.rules.execution import already_running
from app.runtime.logging import get_logger
from controller.endings import true_end
from controller.executions import as_begun, without_unreadable_status
from controller.plans.completion import mark_target, revert_snapshot
from controller.plans.status import PlanUnreadableError, change_plan_status
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.verdict import Again, End, Go, Verdict

log = get_logger(__name__)


def is_unsettled(plan_status: Mapping[str, Any], execution: DRPlanExecution) -> bool:
    """Tell whether the plan still counts an execution that has ended as its owner, or as unfinished."""
    held = members(plan_status.get("currentExecution"))
    uid, name = execution.metadata.uid, execution.metadata.name
    if held.get("uid") == uid or (not held.get("uid") and held.get("name") == name):
        return True
    return any(
        record.get("uid") == uid and record.get("phase") in (Phase.PENDING, Phase.RUNNING, "")
        for record in map(members, items(plan_status.get("executionHistory")))
    )


async def sound_lock(services: Services, status: DRPlanStatus, plan: ObjectMeta) -> DRPlanStatus:
    """Return a plan's status with a stale lock released; the same object when the lock is sound or absent.

    The holder is read fresh. One that has ended, which its record says and not its status alone, has its completion
    applied in the same write (decision D7); what it took back is marked before that, because nobody would do so once
    the lock is gone. An execution of another plan holds nothing, neither does one that cannot be read and has ended.
    """
    held = status.current_execution
    if held is None:
        return status
    stored = await read_holder(services, held, plan.namespace)
    if stored is None or await _plan_of(services, stored) != plan.name:
        return without_stale_lock(status, services.now())
    holder = await without_unreadable_status(stored)
    if holder is None:
        is_over = has_ended(members(stored.get("status")).get("phase"))
        return without_stale_lock(status, services.now()) if is_over else status
    if not holder.phase.is_final:
        return status
    end = await true_end(services, holder)
    if end is None:
        return status
    holder = as_begun(holder.model_copy(update={"status": end}), plan.name, holder.spec.operation_type)
    run = PlanRun.of(holder, target_uid=await mark_target(services, holder, await revert_snapshot(services, holder)))
    sound = status.model_copy(update={"current_execution": held.model_copy(update={"uid": holder.metadata.uid})})
    return completed(sound, run)


async def _plan_of(services: Services, stored: Mapping[str, Any]) -> str:
    """Return the plan that an execution runs: that of its snapshot, if it has begun and its spec was changed since."""
    named = str(members(stored.get("spec")).get("planRef", ""))
    if stored["metadata"].get("generation", 1) == 1:
        return named
    try:
        snapshot = await services.snapshots.load(stored["metadata"]["uid"])
    except SnapshotDamagedError:
        return named
    return named if snapshot is None else snapshot.plan_name


async def let_go(services: Services, execution: DRPlanExecution) -> None:
    """Release the plan of an execution that is parked: a crash may have left it locked, and nothing of it has run."""
    namespace, uid = execution.metadata.namespace, execution.metadata.uid
    stored = services.plans.get(namespace, execution.spec.plan_ref)
    if members(members((stored or {}).get("status")).get("currentExecution")).get("uid") != uid:
        return
    log.warning(
        "a parked execution lets go of its plan", execution=execution.metadata.key, plan=execution.spec.plan_ref
    )

    async def change(plan: DRPlan) -> DRPlanStatus:
        return without_lock(plan.status, uid)

    with suppress(PlanUnreadableError):
        await change_plan_status(services, namespace, execution.spec.plan_ref, change)


async def read_holder(services: Services, held: CurrentExecution, namespace: str) -> dict[str, Any] | None:
    """Return the execution that a lock names, read fresh; None when it is gone or another one has its name."""
    if held.namespace not in ("", namespace):
        return None
    return await read_same(services.kube, EXECUTIONS, namespace, held.name, held.uid)


def by_lock(status: DRPlanStatus, execution: DRPlanExecution, started: Iterable[ObjectMeta] = ()) -> Verdict:
    """Return what the lock of the plan says, a stale one let go of.

    `started` are executions of the plan that have begun, have not ended, and are not over.
    """
    held, uid = status.current_execution, execution.metadata.uid
    if held is not None and held.uid != uid:
        namespace = held.namespace or execution.metadata.namespace
        why = already_running(execution.spec.plan_ref, namespace, held.name)
        return End(Phase.FAILED, why, FailureReason.PLAN_BUSY)
    for other in started:
        if other.uid != uid:
            return Again(f"execution {other.name} is not taken up yet")
    return Go()


Owner = Callable[[DRPlan, DRPlanExecution], Awaitable[tuple[Verdict, DRPlanStatus]]]
"""Tells whether an execution may have a plan, and the plan's status with a stale lock let go of."""


async def take_lock(
    services: Services, execution: DRPlanExecution, plan: DRPlan, generation: int, owner: Owner
) -> Verdict:
    """Take the plan and write the history record, by compare-and-swap; return whether that was done.

    The plan must still be of the `generation` that the snapshot has.
    """
    verdict: Verdict = Go()

    async def change(plan: DRPlan) -> DRPlanStatus | None:
        nonlocal verdict
        verdict = Go()
        if holds_lock(plan.status, execution.metadata.uid):
            return None
        if plan.metadata.generation != generation != 0:
            verdict = Again(f"plan {plan.metadata.name} was changed while this run was starting")
            return None
        verdict, status = await owner(plan, execution)
        return with_lock(status, PlanRun.of(execution)) if isinstance(verdict, Go) else None

    namespace, name = plan.metadata.namespace, plan.metadata.name
    if await change_plan_status(services, namespace, name, change, plan) is None:
        why = f"plan not found: DRPlan {name} was deleted"
        return End(Phase.FAILED, why, FailureReason.PLAN_NOT_READY)
    return verdict


async def retake_lock(services: Services, execution: DRPlanExecution) -> Verdict:
    """Take the plan again if somebody removed the lock of a run that goes on; `End` when another run has it now."""
    metadata = execution.metadata
    plan = services.plans.get(metadata.namespace, execution.spec.plan_ref)
    held = members(members(plan.get("status")).get("currentExecution")) if plan is not None else {}
    if plan is None or held.get("uid", metadata.uid if held.get("name") == metadata.name else "") == metadata.uid:
        return Go()
    verdict: Verdict = Go()

    async def change(plan: DRPlan) -> DRPlanStatus | None:
        nonlocal verdict
        if holds_lock(plan.status, metadata.uid):
            return None
        status = await sound_lock(services, plan.status, plan.metadata)
        verdict = by_lock(status, execution)
        return with_lock(status, PlanRun.of(execution)) if isinstance(verdict, Go) else None

    with suppress(PlanUnreadableError):
        await change_plan_status(services, metadata.namespace, execution.spec.plan_ref, change)
    return verdict


def kept_lock(services: Services, status: DRPlanStatus, run: PlanRun) -> DRPlanStatus:
    """Return a plan's status with the lock of `run`, which is under way here, if somebody took it away."""
    if status.current_execution is not None and status.current_execution.uid == run.uid:
        return status
    stored = services.executions.get(run.namespace, run.name)
    if stored is None or stored["metadata"]["uid"] != run.uid:
        return status  # it was removed by force: nothing would let go of the lock
    return with_lock(status, run)
