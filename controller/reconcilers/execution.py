"""DRPlanExecutions: from their state to start, cancel, resume, completion or removal (design: the run)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import ValidationError

from app.engine.abandon import abandoned
from app.engine.conditions import with_suspension
from app.engine.definition import RunDefinition
from app.engine.fold import end_run, initial_status
from app.engine.history import Run as PlanRun
from app.engine.history import ended_record, holds_lock, with_lock
from app.engine.notes import started
from app.engine.question import ANSWERS
from app.engine.texts import EXECUTION_CANCELED
from app.kube.errors import NotFound
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.names import FINALIZER, RESUME_ANNOTATION
from app.models.phases import Phase, PlanPhase
from app.models.plan import DRPlan, DRPlanStatus
from app.models.snapshot import Snapshot
from app.models.suspension import Reason
from app.rules.execution import known_invalid
from app.runtime.groups import both
from app.runtime.logging import get_logger
from app.runtime.tracing import trace_id_of
from controller.completion import announce_end, complete, count_end, record_unstarted, revert_snapshot
from controller.definitions import Definitions, read_definitions
from controller.doubt import Inheritance, with_gap
from controller.journal import Takeover
from controller.metadata import missing_metadata, without_finalizer, without_resume
from controller.plan_status import PlanUnreadableError, change_plan_status, problems_of, read_plan
from controller.queue import Key
from controller.reconcilers.execution_state import (
    DELETED,
    LockHeldError,
    cancel_message,
    demand_lock,
    is_unsettled,
    parking,
    prepared,
    refused_as,
)
from controller.reconcilers.patience import VALIDATION_PATIENCE, Patience
from controller.reconcilers.plan import settled_lock
from controller.reconcilers.rivals import Rivals
from controller.recorded import recorded_status
from controller.runner import Run, doubtful
from controller.runs import Runs
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.start import StartRefusedError, build_snapshot
from controller.status_put import put_status
from controller.status_writer import wire_of

log = get_logger(__name__)

BY_TARGET = "target"
"""Index of unfinished Reverts by `namespace/name` of the execution they take back."""


class ExecutionReconciler:
    """Decides about one execution at a time; what takes long runs in tasks of `Runs`."""

    def __init__(self, services: Services, runs: Runs, inheritance: Inheritance) -> None:
        self._services = services
        self._runs = runs
        self._inheritance = inheritance
        self._synced_at = services.now()
        self._patience = Patience()
        self._rivals = Rivals(services, runs)

    async def reconcile(self, key: Key) -> float | None:
        """Do what the state of one execution asks for; return after how many seconds to look again."""
        stored = self._services.executions.get(*key)
        if stored is None:
            self._patience.forget(key)
            return None
        try:
            execution = DRPlanExecution.from_wire(stored)
        except ValidationError as error:
            log.error("execution cannot be read", execution="/".join(key), error=problems_of(error))
            self._inheritance.told(stored["metadata"]["uid"])
            await self._release_unreadable(stored)
            return None
        if execution.phase is not Phase.PENDING:
            self._rivals.forget(execution)
            self._patience.forget(key)
        run = self._runs.get(execution.metadata.uid)
        if run is not None:
            if message := cancel_message(execution):
                run.cancel(message)
            elif execution.metadata.annotations.get(RESUME_ANNOTATION) in ANSWERS:
                run.resume(execution.metadata.annotations[RESUME_ANNOTATION])
                await self._patch(execution, without_resume(execution))
            return None
        if execution.phase.is_final:
            return await self._ended(execution)
        if execution.phase is Phase.PENDING:
            return await self._pending(execution)
        return await self._resume(execution)

    async def _ended(self, execution: DRPlanExecution) -> float | None:
        """Repair what a crash left undone, keep the finalizer on, or let a deletion go through."""
        self._inheritance.told(execution.metadata.uid)
        await self._complete_if_owed(execution)
        self._services.journal.forget(execution.metadata.uid)
        if execution.metadata.deletion_timestamp is not None:
            await self._release(execution)
        else:
            await self._adopt(execution)
        return None

    async def _complete_if_owed(self, execution: DRPlanExecution) -> None:
        plan = self._services.plans.get(execution.metadata.namespace, execution.spec.plan_ref)
        if plan is None or not is_unsettled(plan.get("status") or {}, execution):
            return
        execution = await self._whole(execution)
        await complete(self._services, execution, await revert_snapshot(self._services, execution))

    async def _whole(self, execution: DRPlanExecution) -> DRPlanExecution:
        """Return an execution with its whole record, which the cache does not keep of ended ones."""
        metadata = execution.metadata
        try:
            stored = await self._services.kube.get(EXECUTIONS, metadata.name, namespace=metadata.namespace)
        except NotFound:
            return execution
        return DRPlanExecution.from_wire(stored) if stored["metadata"]["uid"] == metadata.uid else execution

    async def _release(self, execution: DRPlanExecution) -> None:
        """Remove what belongs to a deleted execution, then its finalizer. Its history record stays."""
        if FINALIZER not in execution.metadata.finalizers:
            return
        # a Revert that is under way still restores from what this run recorded of others' objects (decision R2a)
        reverts = self._services.executions.by_index(BY_TARGET, execution.metadata.key)
        await self._services.snapshots.delete(execution.metadata.uid, keep_priors=bool(reverts))
        await self._patch(execution, without_finalizer(execution))

    async def _release_unreadable(self, stored: dict[str, Any]) -> None:
        """Let the deletion of an execution go through that cannot be read, so that its namespace can go."""
        metadata = stored["metadata"]
        finalizers = metadata.get("finalizers") or []
        if "deletionTimestamp" not in metadata or FINALIZER not in finalizers:
            return
        await self._services.snapshots.delete(metadata["uid"])
        kept = [name for name in finalizers if name != FINALIZER]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": kept}}
        with suppress(NotFound):
            await self._services.kube.patch(EXECUTIONS, metadata["name"], patch, namespace=metadata["namespace"])

    async def _adopt(self, execution: DRPlanExecution) -> DRPlanExecution | None:
        """Put finalizer and labels on; return the execution with them, None when it is gone."""
        patch = missing_metadata(execution)
        return execution if patch is None else await self._patch(execution, patch)

    async def _patch(self, execution: DRPlanExecution, patch: Mapping[str, Any]) -> DRPlanExecution | None:
        metadata = execution.metadata
        try:
            stored = await self._services.kube.patch(EXECUTIONS, metadata.name, patch, namespace=metadata.namespace)
        except NotFound:
            return None
        if FINALIZER in stored["metadata"].get("finalizers", ()) or "deletionTimestamp" not in stored["metadata"]:
            self._services.executions.remember(stored)
        return DRPlanExecution.from_wire(stored)

    async def _pending(self, execution: DRPlanExecution) -> float | None:
        if execution.metadata.deletion_timestamp is not None:
            self._rivals.forget(execution)
            if FINALIZER in execution.metadata.finalizers:
                await self._end_unstarted(execution, Phase.CANCELLED, DELETED)
            return None
        if (why := parking(execution, self._synced_at, self._services.settings.resume_within)) is not None:
            await self._wait(execution, *why)
            return None
        self._rivals.note(execution)
        adopted, definitions = await both(self._adopt(execution), read_definitions(self._services, execution))
        if adopted is None:
            return None
        if cancel_message(adopted):
            await self._end_unstarted(adopted, Phase.CANCELLED, EXECUTION_CANCELED)
            return None
        try:
            return await self._start(adopted, definitions, is_new=FINALIZER not in execution.metadata.finalizers)
        except (StartRefusedError, PlanUnreadableError, LockHeldError) as refusal:
            await self._end_unstarted(adopted, Phase.FAILED, str(refusal))
            return None

    async def _start(self, execution: DRPlanExecution, definitions: Definitions, *, is_new: bool) -> float | None:
        """Start an execution; one that `is_new` had no finalizer before, so that nobody can have stored a snapshot."""
        plan, plan_name = definitions.plan, execution.spec.plan_ref
        if definitions.unreadable:
            raise StartRefusedError(definitions.unreadable)
        if plan is None:
            raise StartRefusedError(f'plan not found: drplans.dr.bkbcs.tencent.com "{plan_name}" not found')
        if (record := ended_record(plan.status, execution.metadata.uid)) is not None:
            await self._end_unstarted(execution, Phase(record.phase), record.message)
            return None
        if known_invalid(plan):
            raise StartRefusedError(f"plan {plan_name} is not ready (phase={PlanPhase.INVALID})")
        if plan.status.observed_generation != plan.metadata.generation:
            return await self._wait_for_validation(execution)
        await self._demand_free(plan, execution)
        kept = None if is_new else await self._kept_snapshot(execution)
        snapshot = kept or await build_snapshot(self._services, execution, plan, definitions.workflows)
        now = self._services.now()
        lock = self._lock(execution.model_copy(update={"status": DRPlanExecutionStatus(start_time=now)}), plan)
        if kept is None:
            await both(self._saved(snapshot), lock)
        else:
            await lock
        definition = await prepared(snapshot)
        status = await asyncio.to_thread(
            initial_status,
            definition,
            now,
            generation=execution.metadata.generation,
            resolved_params=snapshot.resolved_params,
        )
        with refused_as("the status of this run"):
            written = await self._write_status(execution, status)
        if written is None:
            return None
        self._services.recorder.emit(written, *_note_arguments(definition))
        self._begin(snapshot, definition, status, written, is_stored=True)
        return None

    async def _saved(self, snapshot: Snapshot) -> None:
        with refused_as("the snapshot of this run"):
            await self._services.snapshots.save(snapshot)

    async def _kept_snapshot(self, execution: DRPlanExecution) -> Snapshot | None:
        """Return the run's snapshot when a crash left it complete."""
        try:
            return await self._services.snapshots.load(execution.metadata.uid)
        except SnapshotDamagedError as error:
            log.warning("half-written snapshot is replaced", execution=execution.metadata.key, error=str(error))
            return None

    async def _wait_for_validation(self, execution: DRPlanExecution) -> float | None:
        left = self._patience.left(execution)
        name = execution.spec.plan_ref
        if left <= 0:
            raise StartRefusedError(
                f"plan {name} was not validated within {VALIDATION_PATIENCE:.0f} s; see the "
                "controller's log for why, then create a new execution"
            )
        await self._wait(execution, f"Waiting until plan {name} has been validated")
        return min(left, 2.0)

    async def _wait(self, execution: DRPlanExecution, message: str, reason: Reason | None = None) -> None:
        """Say in the status of an execution that has not started what it waits for; with `reason` it is parked."""
        if execution.status.phase is Phase.PENDING and execution.status.message == message:
            return
        waiting = execution.status.model_copy(update={"phase": Phase.PENDING, "message": message})
        if reason is not None:
            waiting = with_suspension(waiting, message, self._services.now(), reason=reason)
        await self._write_status(execution, waiting)

    async def _demand_free(self, plan: DRPlan, execution: DRPlanExecution) -> DRPlanStatus:
        """Return the status of a plan that the execution may have, with a stale lock let go of.

        Raises `LockHeldError` when the plan belongs to another run, or did when the execution was created, and
        `Conflict` while such a run is being completed.
        """
        self._rivals.demand_first(plan, execution)
        status = await settled_lock(self._services, plan.status, plan.metadata.namespace)
        demand_lock(status, execution)
        return status

    async def _lock(self, execution: DRPlanExecution, plan: DRPlan) -> None:
        """Take the lock of the plan and write the history record, by compare-and-swap. Raises `LockHeldError`."""

        async def change(plan: DRPlan) -> DRPlanStatus | None:
            if holds_lock(plan.status, execution.metadata.uid):
                return None
            return with_lock(await self._demand_free(plan, execution), PlanRun.of(execution))

        namespace, name = plan.metadata.namespace, plan.metadata.name
        if await change_plan_status(self._services, namespace, name, change, plan) is None:
            raise StartRefusedError(f"plan not found: DRPlan {name} was deleted")

    async def _resume(self, execution: DRPlanExecution) -> float | None:
        """Take up a run that an earlier process left: its status, then the journal's later events (invariant 1)."""
        if execution.metadata.deletion_timestamp is None and await self._adopt(execution) is None:
            return None
        fresh = await self._services.kube.get(
            EXECUTIONS, execution.metadata.name, namespace=execution.metadata.namespace
        )
        execution = DRPlanExecution.from_wire(fresh)
        if execution.phase.is_final:
            self._services.executions.remember(fresh)
            return await self._ended(execution)
        try:
            snapshot = await self._services.snapshots.load(execution.metadata.uid)
        except SnapshotDamagedError as error:
            await self._abandon(execution, str(error))
            return None
        if snapshot is None:
            await self._abandon(
                execution,
                "The run was interrupted and has no snapshot to go on from (it was started by another controller, or "
                "its snapshot was removed); what had been recorded is below and can be reverted",
            )
            return None
        definition = await prepared(snapshot)
        entries = self._services.journal.entries(execution.metadata.uid)
        takeover = self._inheritance.of(execution.metadata.uid)
        if takeover is not None:
            takeover = with_gap(takeover, execution.status, [entry.sequence for entry in entries])
        status = await asyncio.to_thread(recorded_status, definition, execution, entries)
        told = log.bind(execution=execution.metadata.key, trace_id=trace_id_of(execution.metadata.uid))
        if cancel := cancel_message(execution):
            told.info("run is cancelled", why=cancel)
        told.info("run resumed", doubtful=len(doubtful(status)))
        self._begin(snapshot, definition, status, fresh, takeover=takeover)
        run = self._runs.get(execution.metadata.uid)
        if run is not None and cancel:
            run.cancel(cancel)
        elif run is not None and execution.metadata.annotations.get(RESUME_ANNOTATION) in ANSWERS:
            run.resume(execution.metadata.annotations[RESUME_ANNOTATION])
            await self._patch(execution, without_resume(execution))
        return None

    def _begin(
        self,
        snapshot: Snapshot,
        definition: RunDefinition,
        status: DRPlanExecutionStatus,
        stored: dict[str, Any],
        *,
        takeover: Takeover | None = None,
        is_stored: bool = False,
    ) -> None:
        if status.phase is not None and status.phase.is_final:
            announce_end(self._services, stored, definition.operation, status)
        run = Run(
            self._services,
            snapshot,
            definition,
            status,
            stored,
            in_doubt=doubtful(status),
            takeover=takeover,
            on_taken_up=partial(self._inheritance.told, snapshot.execution_uid),
            is_stored=is_stored,
        )
        self._runs.start(run, DRPlanExecution.from_wire(stored))

    async def _abandon(self, execution: DRPlanExecution, why: str) -> None:
        """End a run that cannot be taken up, with everything it recorded kept."""
        status = abandoned(execution.status, why, self._services.now())
        ended = execution.model_copy(update={"status": status})
        written = await self._write_status(execution, status)
        if written is not None:
            announce_end(self._services, written, execution.spec.operation_type, status)
            count_end(self._services, ended)
            await complete(self._services, ended, None)

    async def _end_unstarted(self, execution: DRPlanExecution, phase: Phase, message: str) -> None:
        """End an execution that never owned its plan: first the plan's record, then its own status (decision D7)."""
        status = end_run(
            execution.status.model_copy(update={"observed_generation": execution.metadata.generation}),
            phase,
            message,
            self._services.now(),
        )
        ended = execution.model_copy(update={"status": status})
        with suppress(PlanUnreadableError):
            if not await self._lock_is_ours(execution):
                await record_unstarted(self._services, ended)
        written = await self._write_status(execution, status)
        if written is None:
            return
        announce_end(self._services, written, execution.spec.operation_type, status)
        count_end(self._services, ended)
        with suppress(PlanUnreadableError):
            await complete(self._services, ended, None)

    async def _lock_is_ours(self, execution: DRPlanExecution) -> bool:
        plan = await read_plan(self._services, execution.metadata.namespace, execution.spec.plan_ref)
        return plan is not None and holds_lock(plan.status, execution.metadata.uid)

    async def _write_status(self, execution: DRPlanExecution, status: DRPlanExecutionStatus) -> dict[str, Any] | None:
        """Write a status by PUT with the resourceVersion it was computed from; None when the execution is gone."""
        try:
            written = await put_status(self._services.kube, EXECUTIONS, execution.metadata, wire_of(status))
        except NotFound:
            return None
        self._services.executions.remember(written)
        return written


def _note_arguments(definition: RunDefinition) -> tuple[Any, str, str]:
    note = started(definition)
    return note.type, note.reason, note.message
