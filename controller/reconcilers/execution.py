"""DRPlanExecutions: from their state to start, cancel, resume, completion or removal (design: the run)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from app.engine.conditions import with_suspension
from app.engine.fold import initial_status
from app.engine.history import Run as PlanRun
from app.engine.history import holds_lock, with_lock
from app.engine.notes import started
from app.engine.wishes import resume_answer
from app.kube.errors import Conflict, KubeError
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.failures import FailureReason
from app.models.meta import ObjectMeta
from app.models.names import FINALIZER
from app.models.phases import FINAL, Phase
from app.models.plan import DRPlan, DRPlanStatus
from app.models.snapshot import Snapshot
from app.models.stored import members
from app.models.suspension import Reason
from app.runtime.groups import both
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.parts import decoded
from controller.completion import complete, revert_snapshot
from controller.definitions import Definitions, read_definitions
from controller.endings import record_end, records_of, tell_differs, true_end
from controller.inheritance import Inheritance
from controller.lanes import Key
from controller.metadata import without_resume
from controller.plan_status import PlanUnreadableError, change_plan_status, problems_of
from controller.reconcilers.closing import Closing
from controller.reconcilers.execution_state import (
    cancel_message,
    cancel_message_of,
    is_unsettled,
    prepared,
    refused_as,
    unfit_as_refused,
    without_unreadable_status,
)
from controller.reconcilers.execution_writes import ExecutionWrites
from controller.reconcilers.patience import Patience
from controller.reconcilers.plan import settled_lock
from controller.reconcilers.resuming import Resuming, read_fresh
from controller.reconcilers.rivals import Rivals
from controller.reconcilers.starting import Starting, StartInterruptedError
from controller.revert_target import put_right, with_differs
from controller.runner import Run
from controller.runs import Runs
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.start import StartRefusedError, build_snapshot
from controller.verdict import (
    Again,
    End,
    Go,
    Verdict,
    Wait,
    by_history,
    by_itself,
    by_lock,
    by_plan,
    by_rival,
    called_off,
)

log = get_logger(__name__)

BY_STARTED_PLAN = "started-plan"
"""Index of executions that have started and not ended, by `namespace/name` of their plan."""


class ExecutionReconciler:
    """Decides about one execution at a time; what takes long runs in tasks of `Runs`."""

    def __init__(
        self,
        services: Services,
        runs: Runs,
        inheritance: Inheritance,
        starting: Starting,
        in_flight: Iterable[str] = (),
    ) -> None:
        """Take over; `in_flight` are the uids that the journal has entries of."""
        self._services = services
        self._runs = runs
        self._inheritance = inheritance
        self._starting = starting
        self._synced_at = services.now()
        self._patience = Patience()
        self._rivals = Rivals(services, runs)
        self._writes = ExecutionWrites(services)
        self._closing = Closing(services, self._writes)
        self._resuming = Resuming(services, runs, inheritance, self._writes, self._closing)
        self._suspects = set(in_flight)
        """Runs that had not ended as far as the journal knew; that they have is not taken from their statuses."""

    async def reconcile(self, key: Key) -> float | None:
        """Do what the state of one execution asks for; return after how many seconds to look again."""
        stored = self._services.executions.get(*key)
        if stored is None:
            self._patience.forget(key)
            return None
        run = self._runs.get(stored["metadata"]["uid"])
        try:
            execution = await decoded(DRPlanExecution, stored)
        except ValidationError as error:
            log.error("execution cannot be read", execution="/".join(key), error=problems_of(error))
            return await self._unreadable(stored, run)
        if execution.phase is not Phase.PENDING:
            self._rivals.forget(execution)
            self._patience.forget(key)
        if run is not None:
            if message := cancel_message(execution):
                run.cancel(message)
            elif answer := resume_answer(execution.metadata.annotations):
                run.resume(answer)
                await self._writes.patch(execution, without_resume(execution))
            return None
        if execution.phase.is_final:
            return await self._ended(execution)
        if execution.phase is Phase.PENDING:
            return await self._pending(execution)
        return await self._resuming.resume(execution)

    async def give_up(self, key: Key, error: Exception) -> bool:
        """End an execution that has not started, because reconciling it crashed again and again; tell whether it was.

        One that has run is not ended: nobody knows what there would be to take back.
        """
        stored = self._services.executions.get(*key)
        if stored is None or self._runs.get(uid := stored["metadata"]["uid"]) or self._services.journal.entries(uid):
            return False
        try:
            execution = await decoded(DRPlanExecution, stored)
        except ValidationError:
            return False
        if execution.phase is not Phase.PENDING or execution.metadata.deletion_timestamp is not None:
            return False
        why = f"The controller fails at starting this execution: {type(error).__name__}; its log has the details"
        await self._closing.unstarted(execution, Phase.FAILED, why)
        return True

    async def refuse(self, stored: dict[str, Any], why: str) -> bool:
        """End an execution at which the controller has ended, without decoding it; tell whether it is left alone.

        One whose run is under way is not: the journal knows how often that broke off.
        """
        uid, phase = stored["metadata"]["uid"], str(members(stored.get("status")).get("phase", ""))
        is_under_way = phase not in (*FINAL, Phase.PENDING, "")
        if is_under_way or self._runs.get(uid) is not None or self._services.journal.entries(uid):
            return False
        self._inheritance.told(uid)
        await self._closing.unreadable(stored, why)
        return True

    async def _unreadable(self, stored: dict[str, Any], run: Run | None) -> float | None:
        if run is not None:
            if message := cancel_message_of(stored["metadata"]):
                run.cancel(message)
            return None
        execution = await without_unreadable_status(stored)
        if execution is not None and self._services.journal.entries(execution.metadata.uid):
            return await self._resuming.resume(execution)
        self._inheritance.told(stored["metadata"]["uid"])
        await self._closing.unreadable(stored)
        return None

    async def _ended(self, execution: DRPlanExecution) -> float | None:
        """Repair what a crash left undone, keep the finalizer on, or let a deletion go through."""
        uid = execution.metadata.uid
        if uid in self._suspects or self._is_owed(execution):
            self._suspects.discard(uid)
            fresh = await read_fresh(self._services, execution)
            if fresh is None:
                return None
            current = await without_unreadable_status(fresh) or execution
            if await true_end(self._services, current) is None:
                how = f"The status says {current.phase}, but the run has not ended; it is taken up again"
                tell_differs(self._services, execution.metadata, how)
                return await self._resuming.resume(current, contradicted=True)
            records = await records_of(self._services, execution.metadata)
            if records.outcome is not None:
                if after := await self._closing.as_recorded(current, fresh.get("status") or {}, records):
                    return after
            else:
                with suppress(PlanUnreadableError):
                    await complete(self._services, current, await revert_snapshot(self._services, current))
        self._inheritance.told(uid)
        self._services.journal.forget(uid)
        self._runs.forget(uid)
        if execution.metadata.deletion_timestamp is not None:
            await self._closing.release(execution)
        else:
            await self._writes.adopt(execution)
        return None

    def _is_owed(self, execution: DRPlanExecution) -> bool:
        """Tell whether the plan still counts an execution that says it has ended as its owner, or as unfinished."""
        plan = self._services.plans.get(execution.metadata.namespace, execution.spec.plan_ref)
        return plan is not None and is_unsettled(members(plan.get("status")), execution)

    async def _pending(self, execution: DRPlanExecution) -> float | None:
        if self._services.journal.entries(execution.metadata.uid):
            return await self._resuming.resume(execution)  # it has run: somebody emptied its status
        if execution.metadata.deletion_timestamp is not None:
            self._rivals.forget(execution)
            if FINALIZER not in execution.metadata.finalizers:
                return None
        alone = by_itself(execution, self._synced_at, self._services.settings.resume_within)
        if not isinstance(alone, Go):
            return await self._kept_back(execution, alone)
        self._rivals.note(execution)
        with self._starting.noted(execution.metadata.uid):
            try:
                return await self._begin(execution)
            except StartInterruptedError:
                return 0.0

    async def _begin(self, execution: DRPlanExecution) -> float | None:
        reading = both(self._writes.adopt(execution), read_definitions(self._services, execution))
        adopted, definitions = await self._starting.unless_interrupted(execution.metadata.uid, reading)
        if adopted is None:
            return None
        if (end := called_off(adopted)) is not None:
            return await self._kept_back(adopted, end)
        try:
            return await self._start(adopted, definitions, is_new=FINALIZER not in execution.metadata.finalizers)
        except (StartRefusedError, PlanUnreadableError) as refusal:
            return await self._kept_back(adopted, End(Phase.FAILED, str(refusal)))

    async def _kept_back(self, execution: DRPlanExecution, verdict: Verdict) -> float | None:
        """Do what follows for an execution that may not begin; return after how many seconds to look again."""
        match verdict:
            case Go():
                return 0.0
            case Again(why):
                raise Conflict(409, "Conflict", why)
            case Wait(message, seconds, reason):
                await self._wait(execution, message, reason)
                return seconds
            case End(phase, message, failure):
                await self._closing.unstarted(execution, phase, message, failure)
                return None

    async def _start(self, execution: DRPlanExecution, definitions: Definitions, *, is_new: bool) -> float | None:
        """Start an execution; one that `is_new` had no finalizer before, so that nobody can have stored a snapshot."""
        plan = definitions.plan
        if plan is not None and not is_new:
            records = await records_of(self._services, execution.metadata)
            if records.outcome is not None:
                return await self._closing.as_recorded(execution, {}, records)
        verdict = await self._verdict(execution, definitions, is_new=is_new)
        if plan is not None and isinstance(verdict, Go):
            return await self._launch(execution, plan, definitions, is_new=is_new)
        return await self._kept_back(execution, verdict)

    async def _launch(
        self, execution: DRPlanExecution, plan: DRPlan, definitions: Definitions, *, is_new: bool
    ) -> float | None:
        """Record what is run, take the plan, and have the run driven (invariants 1 and 4)."""
        kept = None if is_new else await self._kept_snapshot(execution, plan)
        if kept is None:
            snapshot, execution = await self._built_snapshot(execution, plan, definitions)
        else:
            snapshot = kept
        now = self._services.now()
        begun = execution.model_copy(update={"status": DRPlanExecutionStatus(start_time=now)})
        lock = self._lock(begun, plan, snapshot.plan_generation)
        if kept is None:
            snapshot, verdict = await both(self._saved(snapshot), lock)
        else:
            verdict = await lock
        if not isinstance(verdict, Go):
            return await self._kept_back(execution, verdict)
        with unfit_as_refused(snapshot):
            definition = await prepared(snapshot)
        status = await to_thread(
            initial_status,
            definition,
            now,
            generation=execution.metadata.generation,
            resolved_params=snapshot.resolved_params,
        )
        if snapshot.target is not None and snapshot.target.differs:
            await put_right(self._services, snapshot)
            tell_differs(self._services, execution.metadata, snapshot.target.differs)
            status = with_differs(self._services, status, snapshot.target.differs, execution.metadata.generation)
        if status.phase is not None and status.phase.is_final:
            await record_end(self._services, snapshot, definition, status)
        with refused_as("the status of this run"):
            written = await self._writes.status(execution, status, seal_key=snapshot.seal_key)
        if written is None:
            await self._services.snapshots.delete(execution.metadata.uid)
            return None
        note = started(definition)
        self._services.recorder.emit(written, note.type, note.reason, note.message)
        self._resuming.begin(snapshot, definition, status, written, is_stored=True)
        return None

    async def _built_snapshot(
        self, execution: DRPlanExecution, plan: DRPlan, definitions: Definitions
    ) -> tuple[Snapshot, DRPlanExecution]:
        """Return the snapshot, and the execution as it is stored by then: a start that takes long says why."""
        told, reads, since = execution, ["the definitions of this run"], self._services.now()

        async def tell() -> None:
            nonlocal told
            message = f"Waiting for {reads[-1]} to be read, since {since:%Y-%m-%dT%H:%M:%SZ}"
            with suppress(KubeError):  # whoever changed it meanwhile is heard by the watch
                told = await self._wait(execution, message) or told

        noting = replace(self._services, bounded=self._services.bounded.noted(reads.append))
        reading = build_snapshot(noting, execution, plan, definitions.workflows)
        return await self._starting.unless_interrupted(execution.metadata.uid, reading, tell), told

    async def _saved(self, snapshot: Snapshot) -> Snapshot:
        with refused_as("the snapshot of this run"):
            return await self._services.snapshots.save(snapshot)

    async def _kept_snapshot(self, execution: DRPlanExecution, plan: DRPlan) -> Snapshot | None:
        """Return the run's snapshot when a crash left it complete, unless it is of another state of the plan."""
        try:
            kept = await self._services.snapshots.load(execution.metadata.uid)
        except SnapshotDamagedError as error:
            log.warning("half-written snapshot is replaced", execution=execution.metadata.key, error=str(error))
            return None
        is_older = kept is not None and kept.plan_generation not in (0, plan.metadata.generation)
        return None if is_older and not holds_lock(plan.status, execution.metadata.uid) else kept

    async def _verdict(self, execution: DRPlanExecution, definitions: Definitions, *, is_new: bool) -> Verdict:
        """Return whether an execution may begin, by its plan as read and by who else runs that."""
        plan = definitions.plan
        if plan is not None and not is_new and not isinstance(past := by_history(execution, plan), Go):
            return past
        is_validated = plan is not None and plan.status.observed_generation == plan.metadata.generation
        patience = 0.0 if is_validated else self._patience.left(execution)
        verdict = by_plan(execution, plan, definitions.unreadable, patience)
        if plan is not None and isinstance(verdict, Go):
            verdict, _ = await self._owner(plan, execution)
        return verdict

    async def _wait(
        self, execution: DRPlanExecution, message: str, reason: Reason | None = None
    ) -> DRPlanExecution | None:
        """Say in the status of an execution that has not started what it waits for; with `reason` it is parked.

        Returns it as it is stored when that was written.
        """
        is_marked = reason is None or any(condition.reason == reason for condition in execution.status.conditions)
        if execution.status.phase is Phase.PENDING and execution.status.message == message and is_marked:
            return None
        waiting = execution.status.model_copy(update={"phase": Phase.PENDING, "message": message})
        if reason is not None:
            waiting = with_suspension(waiting, message, self._services.now(), reason=reason)
        written = await self._writes.status(execution, waiting)
        return DRPlanExecution.from_wire(written) if written is not None else None

    async def _owner(self, plan: DRPlan, execution: DRPlanExecution) -> tuple[Verdict, DRPlanStatus]:
        """Return whether an execution may have the plan, and the plan's status with a stale lock let go of."""
        rival = by_rival(execution, self._rivals.of(plan, execution))
        if not isinstance(rival, Go):
            return rival, plan.status
        status = await settled_lock(self._services, plan.status, plan.metadata)
        stored = self._services.executions.by_index(BY_STARTED_PLAN, plan.metadata.key)
        started = (ObjectMeta.from_wire(other["metadata"]) for other in stored)
        return by_lock(status, execution, (other for other in started if other.uid not in self._resuming.over)), status

    async def _lock(self, execution: DRPlanExecution, plan: DRPlan, generation: int) -> Verdict:
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
            verdict, status = await self._owner(plan, execution)
            return with_lock(status, PlanRun.of(execution)) if isinstance(verdict, Go) else None

        namespace, name = plan.metadata.namespace, plan.metadata.name
        if await change_plan_status(self._services, namespace, name, change, plan) is None:
            why = f"plan not found: DRPlan {name} was deleted"
            return End(Phase.FAILED, why, FailureReason.PLAN_NOT_READY)
        return verdict
