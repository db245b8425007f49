"""Keeping how a run ended before anybody is told (decision D11), and telling whether a run is over at all."""

from __future__ import annotations

import asyncio
from typing import Any

from app.engine.conditions import set_condition
from app.engine.definition import RunDefinition
from app.engine.record import STATUS_DIFFERS
from app.engine.revert import taken_back
from app.kube.errors import ApiError, Conflict, KubeError, is_transient
from app.kube.kept import Owner, Records
from app.models.base import API_VERSION
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.phases import Phase
from app.models.record import OutcomeRecord, TakenBack
from app.models.snapshot import Snapshot
from app.runtime import metrics
from app.runtime.last_work import to_thread
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from controller.records import DamagedError
from controller.services import Services
from controller.snapshots import SnapshotDamagedError
from controller.status_form import stored_form

log = get_logger(__name__)

PERMANENT_TRIES = 3
"""Refusals of the API server that are no matter of time, after which a run ends without its record."""


def regarding(metadata: ObjectMeta) -> dict[str, Any]:
    """Return what an Event about an execution needs of it."""
    named = {key: getattr(metadata, key) for key in ("name", "namespace", "uid")}
    return {"apiVersion": API_VERSION, "kind": "DRPlanExecution", "metadata": named}


def tell_differs(services: Services, metadata: ObjectMeta, message: str) -> None:
    """Say by Event, log and metric that a status is not what the controller knows it to be."""
    metrics.status_differs_total.inc()
    log.warning("status was changed by somebody else", execution=metadata.key, how=message)
    services.recorder.emit(regarding(metadata), "Warning", STATUS_DIFFERS, message)


def tell_refused(services: Services, stored: dict[str, Any], why: str) -> None:
    """Say by Event that the API server refuses the status of an execution."""
    services.recorder.emit(stored, "Warning", "StatusRefused", f"The API server refuses the status: {why}")


async def record_end(
    services: Services, snapshot: Snapshot, definition: RunDefinition, status: DRPlanExecutionStatus
) -> None:
    """Record how a run ended and what a Revert took back. Returns when that is stored, however long it takes.

    What the API server refuses for good must not keep the plan locked for ever: the run then ends without record.
    """
    metadata = ObjectMeta(
        name=snapshot.execution_name, namespace=snapshot.execution_namespace, uid=snapshot.execution_uid
    )
    record = OutcomeRecord(
        execution_name=metadata.name,
        execution_namespace=metadata.namespace,
        execution_uid=metadata.uid,
        operation=snapshot.operation,
        plan_name=snapshot.plan_name,
        snapshot_digest=snapshot.digest,
        status=await to_thread(stored_form, status),
    )
    await _kept(services, metadata, record, await to_thread(_marks, snapshot, definition, status))


async def record_unstarted(services: Services, execution: DRPlanExecution) -> None:
    """Record that an execution ended without ever having run, so that nobody can make a Revert believe otherwise."""
    metadata = execution.metadata
    record = OutcomeRecord(
        execution_name=metadata.name,
        execution_namespace=metadata.namespace,
        execution_uid=metadata.uid,
        operation=execution.spec.operation_type,
        plan_name=execution.spec.plan_ref,
        status=await to_thread(stored_form, execution.status),
    )
    await _kept(services, metadata, record, None)


def _marks(
    snapshot: Snapshot, definition: RunDefinition, status: DRPlanExecutionStatus
) -> tuple[Owner, TakenBack] | None:
    target = snapshot.target
    if target is None or not status.stage_statuses:
        return None
    actions = taken_back(definition, status)
    whole = status.phase is Phase.SUCCEEDED
    if not actions and not whole:
        return None
    marks = TakenBack(
        revert_name=snapshot.execution_name, revert_uid=snapshot.execution_uid, whole=whole, actions=actions
    )
    return Owner(target.uid, snapshot.execution_namespace, target.name), marks


async def _kept(
    services: Services, metadata: ObjectMeta, record: OutcomeRecord, marks: tuple[Owner, TakenBack] | None
) -> None:
    backoff, refusals = Backoff(initial=0.1, maximum=10.0), 0
    while True:
        try:
            if marks is not None:
                await services.records.save_taken_back(*marks)
            await services.records.save(record)
        except KubeError as error:
            refusals += isinstance(error, ApiError) and not is_transient(error) and not isinstance(error, Conflict)
            if refusals >= PERMANENT_TRIES:
                message = f"The API server refuses the record of how this run ended: {error}"
                log.error("outcome not recorded", execution=metadata.key, error=str(error))
                services.recorder.emit(regarding(metadata), "Warning", "OutcomeNotRecorded", message)
                return
            log.warning("outcome not recorded yet", execution=metadata.key, error=str(error))
            await asyncio.sleep(backoff.next())
        else:
            return


async def records_of(services: Services, metadata: ObjectMeta) -> Records:
    """Return the records of an execution; none when they are damaged, which is logged. Raises `KubeError`."""
    try:
        return await services.records.load(metadata.uid)
    except DamagedError as error:
        log.error("outcome record cannot be used", execution=metadata.key, error=str(error))
        return Records(None)


async def true_end(services: Services, execution: DRPlanExecution) -> DRPlanExecutionStatus | None:
    """Return the true final status of an execution that says it has ended; None when it is not over.

    A run of this release is over when its outcome is recorded. One without snapshot, or of an earlier release, is
    taken at its word.
    """
    records = await records_of(services, execution.metadata)
    if records.outcome is not None:
        return records.outcome.status
    try:
        snapshot = await services.snapshots.load(execution.metadata.uid)
    except SnapshotDamagedError:
        return execution.status
    return None if snapshot is not None and snapshot.seal_key else execution.status


def with_differs(
    services: Services, status: DRPlanExecutionStatus, differs: str, generation: int
) -> DRPlanExecutionStatus:
    """Return a status with the condition `StatusDiffers`."""
    conditions = set_condition(
        status.conditions, STATUS_DIFFERS, "True", "ChangedByOthers", differs, services.now(), generation
    )
    return status.model_copy(update={"conditions": conditions})
