"""Taking up runs that an earlier process left (invariant 1); nothing is believed just because a status says it."""

from __future__ import annotations

from functools import partial
from typing import Any

from app.engine.definition import RunDefinition
from app.engine.doubt import doubtful
from app.engine.wishes import resume_answer
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.snapshot import Snapshot
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.parts import decoded
from app.runtime.tracing import trace_id_of
from controller.endings import records_of, tell_differs
from controller.executions import (
    ExecutionWrites,
    as_begun,
    cancel_message,
    read_fresh,
    without_resume,
    without_unreadable_status,
)
from controller.journal import Takeover
from controller.plans.lock import retake_lock
from controller.run.closing import Closing
from controller.run.inheritance import Inheritance
from controller.run.observer import announce_end
from controller.run.resumption import CannotResumeError, Resumption, take_up
from controller.run.runner import Run
from controller.run.runs import BREAK_OFFS, Runs
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.verdict import End

log = get_logger(__name__)

NO_SNAPSHOT = (
    "The run was interrupted and has no snapshot to go on from (it was started by another controller, or its "
    "snapshot was removed); what had been recorded is below and can be reverted"
)


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
            self._inheritance.forget(uid)
            after = await self._closing.as_recorded(execution, stored, records)
            self.over = self.over | {uid} if after else self.over - {uid}
            return after
        try:
            snapshot = await self._services.snapshots.load(uid)
            if snapshot is None:
                raise CannotResumeError(NO_SNAPSHOT)
            execution = as_begun(execution, snapshot.plan_name, snapshot.operation)
            entries = self._services.journal.entries(uid)
            resumed = await to_thread(take_up, snapshot, execution, stored, entries)
            if isinstance(held := await retake_lock(self._services, execution), End):
                raise CannotResumeError(held.message)
        except (SnapshotDamagedError, CannotResumeError) as error:
            self._inheritance.forget(uid)
            await self._closing.abandon(execution, str(error))
            return None
        if why := self._given_up(execution):
            self._inheritance.forget(uid)
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
        await self.begin(snapshot, resumed.definition, status, fresh, takeover=takeover)
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

    async def begin(
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
        execution = await decoded(DRPlanExecution, {**stored, "status": {}})  # the run has a status of its own
        if status.has_ended:
            announce_end(self._services, stored, definition.operation, status)
        run = Run(
            self._services,
            snapshot,
            definition,
            status,
            stored,
            in_doubt=doubtful(status),
            takeover=takeover,
            on_taken_up=partial(self._inheritance.forget, snapshot.execution_uid),
            is_stored=is_stored,
        )
        self._runs.start(run, as_begun(execution, snapshot.plan_name, snapshot.operation))
