"""Taking up runs that an earlier process left (invariant 1); nothing is believed just because a status says it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from app.engine.definition import RunDefinition
from app.engine.doubt import doubtful
from app.engine.history import Run as PlanRun
from app.engine.history import holds_lock, with_lock
from app.engine.wishes import resume_answer
from app.kube.errors import NotFound
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.plan import DRPlan, DRPlanStatus
from app.models.snapshot import Snapshot
from app.models.stored import members
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.tracing import trace_id_of
from controller.completion import announce_end
from controller.endings import records_of, tell_differs
from controller.inheritance import Inheritance
from controller.journal import Takeover
from controller.metadata import without_resume
from controller.plan_status import PlanUnreadableError, change_plan_status
from controller.reconcilers.closing import Closing
from controller.reconcilers.execution_state import cancel_message, without_unreadable_status
from controller.reconcilers.execution_writes import ExecutionWrites
from controller.reconcilers.plan import settled_lock
from controller.resumption import CannotResumeError, Resumption, take_up
from controller.runner import Run
from controller.runs import BREAK_OFFS, Runs
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.verdict import End, by_lock

log = get_logger(__name__)

NO_SNAPSHOT = (
    "The run was interrupted and has no snapshot to go on from (it was started by another controller, or its "
    "snapshot was removed); what had been recorded is below and can be reverted"
)


async def read_fresh(services: Services, execution: DRPlanExecution) -> dict[str, Any] | None:
    """Return the execution as stored now, of which the cache does not keep all; None when it is gone."""
    metadata = execution.metadata
    try:
        stored = await services.kube.get(EXECUTIONS, metadata.name, namespace=metadata.namespace)
    except NotFound:
        return None
    return stored if stored["metadata"]["uid"] == metadata.uid else None


class Resuming:
    """Takes up runs, or ends them with the reason why they cannot be taken up."""

    def __init__(
        self, services: Services, runs: Runs, inheritance: Inheritance, writes: ExecutionWrites, closing: Closing
    ) -> None:
        self._services = services
        self._runs = runs
        self._inheritance = inheritance
        self._writes = writes
        self._closing = closing
        self.over: frozenset[str] = frozenset()
        """Runs that have ended, whose statuses the API server refuses."""

    async def resume(self, execution: DRPlanExecution, *, contradicted: bool = False) -> float | None:
        """Take up a run that an earlier process left: its status, then the journal's later events (invariant 1).

        `contradicted`: the stored status says that it has ended, which is not so.
        """
        uid = execution.metadata.uid
        if execution.metadata.deletion_timestamp is None and await self._writes.adopt(execution) is None:
            return None
        fresh = await read_fresh(self._services, execution)
        if fresh is None:
            return None
        execution = await without_unreadable_status(fresh) or execution
        if execution.phase.is_final and not contradicted:
            self._services.executions.remember(fresh)
            return 0.0
        stored = fresh.get("status") or {}
        if (records := await records_of(self._services, execution.metadata)).outcome is not None:
            self._inheritance.told(uid)
            after = await self._closing.as_recorded(execution, stored, records)
            self.over = self.over | {uid} if after else self.over - {uid}
            return after
        try:
            snapshot = await self._services.snapshots.load(uid)
            if snapshot is None:
                raise CannotResumeError(NO_SNAPSHOT)
            entries = self._services.journal.entries(uid)
            resumed = await to_thread(take_up, snapshot, execution, stored, entries)
            await self._retake_lock(execution)
        except (SnapshotDamagedError, CannotResumeError) as error:
            self._inheritance.told(uid)
            await self._closing.abandon(execution, str(error))
            return None
        if why := self._given_up(execution):
            self._inheritance.told(uid)
            await self._closing.give_up(execution, snapshot, resumed.definition, resumed.status, why)
            return None
        if resumed.touched:
            how = f"The status was changed by somebody else ({resumed.touched}); the run goes on from the journal"
            tell_differs(self._services, execution.metadata, how)
        await self._take_up(execution, snapshot, resumed, fresh)
        return None

    async def _take_up(
        self, execution: DRPlanExecution, snapshot: Snapshot, resumed: Resumption, fresh: dict[str, Any]
    ) -> None:
        status, uid = resumed.status, execution.metadata.uid
        sequences = [entry.sequence for entry in self._services.journal.entries(uid)]
        takeover = await self._inheritance.of(uid, resumed.base, sequences)
        told = log.bind(execution=execution.metadata.key, trace_id=trace_id_of(execution.metadata.uid))
        if cancel := cancel_message(execution):
            told.info("run is cancelled", why=cancel)
        told.info("run resumed", doubtful=len(doubtful(status)))
        self.begin(snapshot, resumed.definition, status, fresh, takeover=takeover)
        run = self._runs.get(execution.metadata.uid)
        if run is not None and cancel:
            run.cancel(cancel)
        elif run is not None and (answer := resume_answer(execution.metadata.annotations)):
            run.resume(answer)
            await self._writes.patch(execution, without_resume(execution))

    def _given_up(self, execution: DRPlanExecution) -> str:
        """Return why a run that broke off is not taken up again; empty when it is, or never broke off."""
        broken = self._runs.broken_off(execution.metadata.uid)
        cancel = cancel_message(execution)
        if broken is None or (broken.count < BREAK_OFFS and not cancel):
            return ""
        times = "once" if broken.count == 1 else f"{broken.count} times in a row"
        ended = f"{cancel}; it" if cancel else "The run"
        return f"{ended} broke off {times} ({broken.problem}), see the controller's log; what had been done is below"

    async def _retake_lock(self, execution: DRPlanExecution) -> None:
        """Take the plan again if somebody removed the lock of a run that goes on. Raises `CannotResumeError`."""
        metadata = execution.metadata
        plan = self._services.plans.get(metadata.namespace, execution.spec.plan_ref)
        held = members(members(plan.get("status")).get("currentExecution")) if plan is not None else {}
        if plan is None or held.get("uid", metadata.uid if held.get("name") == metadata.name else "") == metadata.uid:
            return

        async def change(plan: DRPlan) -> DRPlanStatus | None:
            if holds_lock(plan.status, metadata.uid):
                return None
            status = await settled_lock(self._services, plan.status, plan.metadata)
            if isinstance(held := by_lock(status, execution), End):
                raise CannotResumeError(held.message)
            return with_lock(status, PlanRun.of(execution))

        with suppress(PlanUnreadableError):
            await change_plan_status(self._services, metadata.namespace, execution.spec.plan_ref, change)

    def begin(
        self,
        snapshot: Snapshot,
        definition: RunDefinition,
        status: DRPlanExecutionStatus,
        stored: dict[str, Any],
        *,
        takeover: Takeover | None = None,
        is_stored: bool = False,
    ) -> None:
        """Have a run driven from `status`; `is_stored` tells that this is just what `stored` has."""
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
