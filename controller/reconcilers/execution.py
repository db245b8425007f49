"""DRPlanExecutions: from their state to start, cancel, resume, completion or removal (design: the run)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from app.engine.wishes import resume_answer
from app.models.execution import DRPlanExecution
from app.models.names import FINALIZER
from app.models.phases import Phase, has_ended
from app.models.stored import members
from app.runtime.logging import get_logger
from app.runtime.parts import decoded
from controller.endings import records_of, tell_differs, true_end
from controller.executions import (
    ExecutionWrites,
    cancel_message,
    cancel_message_of,
    read_fresh,
    without_resume,
    without_unreadable_status,
)
from controller.lanes import Key
from controller.plans.completion import complete, revert_snapshot
from controller.plans.lock import is_unsettled
from controller.plans.status import PlanUnreadableError, problems_of
from controller.run.closing import Closing
from controller.run.inheritance import Inheritance
from controller.run.resuming import Resuming
from controller.run.runner import Run
from controller.run.runs import Runs
from controller.services import Services
from controller.start.interruption import Starting
from controller.start.starter import Starter

log = get_logger(__name__)


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
        self._writes = ExecutionWrites(services)
        self._closing = Closing(services, self._writes)
        self._resuming = Resuming(services, runs, inheritance, self._writes, self._closing)
        self._starter = Starter(services, runs, starting, self._writes, self._closing, self._resuming)
        self._suspects = set(in_flight)
        """Runs that had not ended as far as the journal knew; that they have is not taken from their statuses."""

    async def reconcile(self, key: Key) -> float | None:
        """Do what the state of one execution asks for; return after how many seconds to look again."""
        stored = self._services.executions.get(*key)
        if stored is None:
            self._starter.gone(*key)
            return None
        run = self._runs.get(stored["metadata"]["uid"])
        try:
            execution = await decoded(DRPlanExecution, stored)
        except ValidationError as error:
            log.error("execution cannot be read", execution="/".join(key), error=problems_of(error))
            return await self._unreadable(stored, run)
        if execution.phase is not Phase.PENDING:
            self._starter.forget(execution)
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
        is_under_way = phase not in (Phase.PENDING, "") and not has_ended(phase)
        if is_under_way or self._runs.get(uid) is not None or self._services.journal.entries(uid):
            return False
        self._inheritance.forget(uid)
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
        self._inheritance.forget(stored["metadata"]["uid"])
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
        self._inheritance.forget(uid)
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
        if execution.metadata.deletion_timestamp is not None and FINALIZER not in execution.metadata.finalizers:
            self._starter.forget(execution)
            return None
        return await self._starter.start(execution)
