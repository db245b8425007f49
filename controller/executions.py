"""One stored execution: the marks that the controller puts on it, what its users wish, what is written to it.

The marks are finalizer, labels and the note that the controller was here (decisions D5, D9).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from app.engine.messages import EXECUTION_CANCELED
from app.engine.names import label_value
from app.engine.wishes import asks
from app.kube.errors import NotFound
from app.kube.fresh import read_same
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.names import (
    ADOPTED_ANNOTATION,
    CANCEL_ANNOTATION,
    FINALIZER,
    OPERATION_LABEL,
    PLAN_LABEL,
    RESUME_ANNOTATION,
)
from app.models.phases import Operation
from app.rules.unfinished import comes_from_backup
from app.runtime.parts import decoded
from controller.sealing import SEAL, seal_of
from controller.services import Services
from controller.status_form import wire_in_turns
from controller.status_put import put_status

DELETED = "Execution deleted while running"
"""Why an execution that is deleted before its end is cancelled."""


def missing_metadata(execution: DRPlanExecution) -> dict[str, Any] | None:
    """Return the merge patch that gives an execution its finalizer, labels and mark; None when it has them.

    The patch carries the resourceVersion: finalizers are a list, which a merge patch replaces whole.
    """
    metadata = execution.metadata
    labels = {
        PLAN_LABEL: label_value(execution.spec.plan_ref),
        OPERATION_LABEL: execution.spec.operation_type.value,
    }
    is_labelled = all(metadata.labels.get(key) == value for key, value in labels.items())
    if FINALIZER in metadata.finalizers and is_labelled and ADOPTED_ANNOTATION in metadata.annotations:
        return None
    finalizers = [*metadata.finalizers, *(() if FINALIZER in metadata.finalizers else (FINALIZER,))]
    return {
        "metadata": {
            "resourceVersion": metadata.resource_version,
            "finalizers": finalizers,
            "labels": labels,
            "annotations": {ADOPTED_ANNOTATION: metadata.uid},
        }
    }


def without_finalizer(execution: DRPlanExecution) -> dict[str, Any]:
    """Return the merge patch that takes the finalizer off."""
    kept = [name for name in execution.metadata.finalizers if name != FINALIZER]
    return {"metadata": {"resourceVersion": execution.metadata.resource_version, "finalizers": kept}}


def without_resume(execution: DRPlanExecution) -> dict[str, Any]:
    """Return the merge patch that takes the resume annotation off: one answer serves one question."""
    return {
        "metadata": {
            "resourceVersion": execution.metadata.resource_version,
            "annotations": {RESUME_ANNOTATION: None},
        }
    }


def restored_from_backup(execution: DRPlanExecution) -> bool:
    """Tell whether an execution that has not started was created with our finalizer on it (decision D9)."""
    metadata = execution.metadata
    return comes_from_backup(metadata.uid, metadata.finalizers, metadata.annotations)


def cancel_wish(annotations: Mapping[str, str], *, deleted: bool) -> str:
    """Return why an execution with these annotations is to be cancelled; empty when it is not."""
    if deleted:
        return DELETED
    return EXECUTION_CANCELED if asks(annotations, CANCEL_ANNOTATION) else ""


def cancel_message(execution: DRPlanExecution) -> str:
    """Return why an execution is to be cancelled; empty when it is not."""
    metadata = execution.metadata
    return cancel_wish(metadata.annotations, deleted=metadata.deletion_timestamp is not None)


def cancel_message_of(metadata: Mapping[str, Any]) -> str:
    """Return the same from the metadata of a stored object."""
    return cancel_wish(metadata.get("annotations") or {}, deleted="deletionTimestamp" in metadata)


async def without_unreadable_status(stored: Mapping[str, Any]) -> DRPlanExecution | None:
    """Return a stored execution, with an empty status where that does not decode; None when it does not otherwise."""
    for found in (stored, {**stored, "status": {}}):
        with suppress(ValidationError):
            return await decoded(DRPlanExecution, found)
    return None


def as_begun(execution: DRPlanExecution, plan: str, operation: Operation) -> DRPlanExecution:
    """Return an execution whose spec says what was begun of which plan, whatever somebody has made of it since.

    Admission keeps a spec as it is; where it is not asked, a run must not turn to another plan (invariant 6).
    """
    spec = execution.spec
    if (spec.plan_ref, spec.operation_type) == (plan, operation):
        return execution
    begun = spec.model_copy(update={"plan_ref": plan, "operation_type": operation})
    return execution.model_copy(update={"spec": begun})


class ExecutionWrites:
    """Writes to one execution at a time; what is stored then is remembered in the cache."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def adopt(self, execution: DRPlanExecution) -> DRPlanExecution | None:
        """Put finalizer and labels on; return the execution with them, None when it is gone."""
        patch = missing_metadata(execution)
        return execution if patch is None else await self.patch(execution, patch)

    async def patch(self, execution: DRPlanExecution, patch: Mapping[str, Any]) -> DRPlanExecution | None:
        """Change the metadata; return the execution as stored, None when it is gone."""
        metadata = execution.metadata
        try:
            stored = await self._services.kube.patch(EXECUTIONS, metadata.name, patch, namespace=metadata.namespace)
        except NotFound:
            return None
        if FINALIZER in stored["metadata"].get("finalizers", ()) or "deletionTimestamp" not in stored["metadata"]:
            self._services.executions.remember(stored)
        return await decoded(DRPlanExecution, stored)

    async def status(
        self, execution: DRPlanExecution, status: DRPlanExecutionStatus, *, seal_key: str = ""
    ) -> dict[str, Any] | None:
        """Write a status onto the version it was computed from; None when the execution is gone."""
        wire = await wire_in_turns(status)
        if seal_key and not status.has_ended:
            wire[SEAL] = seal_of(seal_key, execution.metadata.uid, wire)
        try:
            written = await put_status(self._services.kube, EXECUTIONS, execution.metadata, wire)
        except NotFound:
            return None
        self._services.executions.remember(written)
        return written


async def read_fresh(services: Services, execution: DRPlanExecution) -> dict[str, Any] | None:
    """Return the execution as stored now, of which the cache does not keep all; None when it is gone."""
    metadata = execution.metadata
    return await read_same(services.kube, EXECUTIONS, metadata.namespace, metadata.name, metadata.uid)
