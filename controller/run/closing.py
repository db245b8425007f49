"""Bringing an execution to its end where no run does: ended, abandoned, never started, unreadable, or to be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.engine.abandon import abandoned
from app.engine.definition import RunDefinition
from app.engine.fold import end_run
from app.engine.history import holds_lock
from app.engine.record import as_recorded, differences
from app.kube.errors import ApiError, Conflict, NotFound, is_transient
from app.kube.kept import Records
from app.kube.resources import EXECUTIONS
from app.models.dumping import dumped
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.failures import FailureReason
from app.models.meta import ObjectMeta
from app.models.names import FINALIZER
from app.models.phases import Operation, Phase, has_ended
from app.models.snapshot import Snapshot
from app.models.stored import members
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from controller.endings import record_end, record_unstarted, records_of, regarding, tell_differs, with_differs
from controller.executions import ExecutionWrites, as_begun, without_finalizer
from controller.indices import BY_TARGET
from controller.plans.completion import complete, note_unstarted, revert_snapshot
from controller.plans.status import PlanUnreadableError, read_plan
from controller.run.lifetimes import Lifetimes
from controller.run.observer import announce_end, count_end
from controller.run.status_writer import REFUSED_RETRY
from controller.services import Services
from controller.status_form import lesser_forms, wire_in_turns
from controller.status_put import put_status

log = get_logger(__name__)


class Closing:
    """Ends executions. All of it can be repeated."""

    def __init__(self, services: Services, writes: ExecutionWrites) -> None:
        self._services = services
        self._writes = writes

    async def as_recorded(
        self, execution: DRPlanExecution, stored: Mapping[str, Any], records: Records
    ) -> float | None:
        """Give an execution the status with which its run is recorded to have ended, and complete its plan.

        The plan does not wait for a status that the API server refuses; that is tried again in a minute.
        """
        outcome = records.outcome
        if outcome is None:
            return None
        status = await to_thread(as_recorded, outcome.status, records.taken_back)
        # a leader that died between record and status left a sealed one; whatever else is there, somebody else wrote
        if not stored.get("seal") and (found := await to_thread(differences, execution.status, status)):
            how = f"The status was changed after the run had ended: {'; '.join(found)}. The recorded one is put back"
            tell_differs(self._services, execution.metadata, how)
            status = with_differs(self._services, status, how, execution.metadata.generation)
        is_so = await to_thread(lambda: execution.status == status)
        written = is_so or await self._least_refused(execution, status) is not None
        ended = as_begun(execution.model_copy(update={"status": status}), outcome.plan_name, outcome.operation)
        with suppress(PlanUnreadableError):
            await complete(self._services, ended, await revert_snapshot(self._services, ended))
        self._services.journal.forget(execution.metadata.uid)
        if written:
            return None
        if execution.metadata.deletion_timestamp is not None:
            await self.release(execution)
        return REFUSED_RETRY

    async def _least_refused(self, execution: DRPlanExecution, status: DRPlanExecutionStatus) -> dict[str, Any] | None:
        """Write a final status, or what the API server takes of it; return what is stored, None when it took none.

        An execution that is gone gives an empty object.
        """
        refusal, forms = "", [status]
        while forms:
            form = forms.pop(0)
            wire = await (wire_in_turns(status) if form is status else to_thread(dumped, form))
            try:
                written = await put_status(self._services.kube, EXECUTIONS, execution.metadata, wire)
            except NotFound:
                return {}
            except ApiError as error:
                if is_transient(error) or isinstance(error, Conflict):
                    raise
                refusal = str(error)
                if form is status:
                    forms = list(await to_thread(lesser_forms, status))
            else:
                self._services.executions.remember(written)
                return written
        log.error("final status refused", execution=execution.metadata.key, error=refusal)
        return None

    async def abandon(self, execution: DRPlanExecution, why: str) -> None:
        """End a run that cannot be taken up, with everything that its status says kept; none of that is recorded."""
        await self._end(execution, abandoned(execution.status, why, self._services.now()))

    async def give_up(
        self,
        execution: DRPlanExecution,
        snapshot: Snapshot,
        definition: RunDefinition,
        status: DRPlanExecutionStatus,
        why: str,
    ) -> None:
        """End a run that breaks off again and again; what it did until then is known, and recorded."""
        status = abandoned(status, why, self._services.now())
        lifetimes = Lifetimes(self._services, definition, regarding(execution.metadata))
        lifetimes.take_all(status)
        await lifetimes.work_off()
        await record_end(self._services, snapshot, definition, status)
        await self._end(execution, status)

    async def _end(self, execution: DRPlanExecution, status: DRPlanExecutionStatus) -> None:
        ended = execution.model_copy(update={"status": status})
        written = await self._least_refused(execution, status)
        announce_end(self._services, written or regarding(execution.metadata), execution.spec.operation_type, status)
        count_end(self._services, ended)
        with suppress(PlanUnreadableError):
            await complete(self._services, ended, None)
        self._services.journal.forget(execution.metadata.uid)
        if written is None and execution.metadata.deletion_timestamp is not None:
            await self.release(execution)

    async def unstarted(
        self,
        execution: DRPlanExecution,
        phase: Phase,
        message: str,
        reason: FailureReason = FailureReason.START_REFUSED,
    ) -> None:
        """End an execution that never owned its plan: first the records, then its own status (decision D7)."""
        bare = DRPlanExecutionStatus(observed_generation=execution.metadata.generation)
        if execution.spec.operation_type is Operation.REVERT:
            reason = FailureReason.ROLLBACK_PRECONDITION_FAILED
        status = end_run(bare, phase, message, self._services.now(), reason=reason)
        ended = execution.model_copy(update={"status": status})
        with suppress(PlanUnreadableError):
            if not await self._lock_is_ours(execution):
                await note_unstarted(self._services, ended)
        await record_unstarted(self._services, ended)
        written = await self._writes.status(execution, status)
        if written is None:
            await self._services.snapshots.delete(execution.metadata.uid)
            return
        announce_end(self._services, written, execution.spec.operation_type, status)
        count_end(self._services, ended)
        with suppress(PlanUnreadableError):
            await complete(self._services, ended, None)

    async def _lock_is_ours(self, execution: DRPlanExecution) -> bool:
        plan = await read_plan(self._services, execution.metadata.namespace, execution.spec.plan_ref)
        return plan is not None and holds_lock(plan.status, execution.metadata.uid)

    async def release(self, execution: DRPlanExecution) -> None:
        """Remove what belongs to a deleted execution, then its finalizer. Its history record stays."""
        if FINALIZER not in execution.metadata.finalizers:
            return
        # a Revert that is under way still restores from what this run recorded of others' objects (decision R2a)
        reverts = self._services.executions.by_index(BY_TARGET, execution.metadata.key)
        await self._services.snapshots.delete(execution.metadata.uid, keep_priors=bool(reverts))
        await self._writes.patch(execution, without_finalizer(execution))

    async def unreadable(self, stored: dict[str, Any], why: str = "The stored execution cannot be read") -> None:
        """End an execution that does not decode, as recorded if it is; let its deletion go through."""
        metadata = ObjectMeta.from_wire(stored["metadata"])
        if metadata.deletion_timestamp is not None:
            await self._release_unreadable(stored, metadata)
            return
        if has_ended(members(stored.get("status")).get("phase")):
            return
        records = await records_of(self._services, metadata)
        status = DRPlanExecutionStatus(observed_generation=metadata.generation)
        status = end_run(status, Phase.FAILED, why, self._services.now())
        if records.outcome is not None:
            status = await to_thread(as_recorded, records.outcome.status, records.taken_back)
        with suppress(NotFound):
            await put_status(self._services.kube, EXECUTIONS, metadata, await wire_in_turns(status))
        self._services.journal.forget(metadata.uid)

    async def _release_unreadable(self, stored: dict[str, Any], metadata: ObjectMeta) -> None:
        finalizers = list(metadata.finalizers)
        if FINALIZER not in finalizers:
            return
        await self._services.snapshots.delete(metadata.uid)
        kept = [name for name in finalizers if name != FINALIZER]
        patch = {"metadata": {"resourceVersion": stored["metadata"]["resourceVersion"], "finalizers": kept}}
        with suppress(NotFound):
            await self._services.kube.patch(EXECUTIONS, metadata.name, patch, namespace=metadata.namespace)
        self._services.journal.forget(metadata.uid)
