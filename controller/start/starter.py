"""The way of an execution from Pending to Running: decide, record what is run, take the plan, begin."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from app.engine.conditions import with_suspension
from app.engine.fold import initial_status
from app.engine.history import holds_lock
from app.engine.kube_events import started
from app.kube.errors import Conflict, KubeError
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.names import FINALIZER
from app.models.phases import Phase
from app.models.plan import DRPlan, DRPlanStatus
from app.models.snapshot import Snapshot
from app.models.suspension import Reason
from app.runtime.groups import both
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.parts import decoded
from controller.endings import record_end, records_of, tell_differs, with_differs
from controller.executions import ExecutionWrites
from controller.plans.lock import by_lock, let_go, sound_lock, take_lock
from controller.plans.status import PlanUnreadableError
from controller.run.closing import Closing
from controller.run.definition import prepared
from controller.run.resuming import Resuming
from controller.run.runs import Runs
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.start.interruption import Starting, StartInterruptedError
from controller.start.may_begin import by_history, by_itself, by_plan, by_rival, called_off
from controller.start.patience import Patience
from controller.start.refusal import StartRefusedError, refused_as, unfit_as_refused
from controller.start.revert_target import put_right
from controller.start.rivals import Rivals
from controller.start.snapshot import build_snapshot
from controller.start.sources import Definitions, read_definitions
from controller.verdict import Again, End, Go, Verdict, Wait

log = get_logger(__name__)


class Starter:
    """Starts executions, or says in their statuses what they wait for or why they never will."""

    def __init__(
        self,
        services: Services,
        runs: Runs,
        starting: Starting,
        writes: ExecutionWrites,
        closing: Closing,
        resuming: Resuming,
    ) -> None:
        self._services = services
        self._starting = starting
        self._writes = writes
        self._closing = closing
        self._resuming = resuming
        self._rivals = Rivals(services, runs)
        self._patience = Patience()
        self._synced_at = services.now()

    def forget(self, execution: DRPlanExecution) -> None:
        """Let go of what is remembered of an execution that has started or ended."""
        self._rivals.forget(execution)
        self.gone(execution.metadata.namespace, execution.metadata.name)

    def gone(self, namespace: str, name: str) -> None:
        """Let go of how long an execution has waited that does not exist any more."""
        self._patience.forget((namespace, name))

    async def start(self, execution: DRPlanExecution) -> float | None:
        """Start an execution that is Pending and has not run; return after how many seconds to look again."""
        if execution.metadata.deletion_timestamp is not None:
            self._rivals.forget(execution)
        alone = by_itself(execution, self._synced_at, self._services.settings.resume_within)
        if not isinstance(alone, Go):
            return await self._kept_back(execution, alone)
        self._rivals.note(execution)
        with self._starting.noted(execution.metadata.uid):
            try:
                return await self._begun(execution)
            except StartInterruptedError:
                return 0.0

    async def _begun(self, execution: DRPlanExecution) -> float | None:
        reading = both(self._writes.adopt(execution), read_definitions(self._services, execution))
        adopted, definitions = await self._starting.unless_interrupted(execution.metadata.uid, reading)
        if adopted is None:
            return None
        if (end := called_off(adopted)) is not None:
            return await self._kept_back(adopted, end)
        try:
            return await self._decided(adopted, definitions, is_new=FINALIZER not in execution.metadata.finalizers)
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
                if reason is not None:
                    await let_go(self._services, execution)
                return seconds
            case End(phase, message, failure):
                await self._closing.unstarted(execution, phase, message, failure)
                return None

    async def _decided(self, execution: DRPlanExecution, definitions: Definitions, *, is_new: bool) -> float | None:
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
        lock = take_lock(self._services, begun, plan, snapshot.plan_generation, self._owner)
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
        if status.has_ended:
            await record_end(self._services, snapshot, definition, status)
        with refused_as("the status of this run"):
            written = await self._writes.status(execution, status, seal_key=snapshot.seal_key)
        if written is None:
            await self._services.snapshots.delete(execution.metadata.uid)
            return None
        note = started(definition)
        self._services.recorder.emit(written, note.type, note.reason, note.message)
        await self._resuming.begin(snapshot, definition, status, written, is_stored=True)
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
        told = {"reason": "" if reason is None else reason.value, "message": message}
        waiting = execution.status.model_copy(update={"phase": Phase.PENDING, **told})
        if reason is not None:
            waiting = with_suspension(waiting, message, self._services.now(), reason=reason)
        written = await self._writes.status(execution, waiting)
        return await decoded(DRPlanExecution, written) if written is not None else None

    async def _owner(self, plan: DRPlan, execution: DRPlanExecution) -> tuple[Verdict, DRPlanStatus]:
        """Return whether an execution may have the plan, and the plan's status with a stale lock let go of."""
        rival = by_rival(execution, self._rivals.of(plan, execution))
        if not isinstance(rival, Go):
            return rival, plan.status
        status = await sound_lock(self._services, plan.status, plan.metadata)
        started = (other for other in self._rivals.started(plan) if other.uid not in self._resuming.over)
        return by_lock(status, execution, started), status
