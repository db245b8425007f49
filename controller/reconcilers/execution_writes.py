"""What reconciling an execution writes to it: metadata by patch, its status by PUT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.kube.errors import NotFound
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.names import FINALIZER
from app.runtime.parts import decoded
from controller.metadata import missing_metadata
from controller.sealing import SEAL, seal_of
from controller.services import Services
from controller.status_put import put_status
from controller.status_writer import wire_in_turns


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
        if seal_key and not (status.phase is not None and status.phase.is_final):
            wire[SEAL] = seal_of(seal_key, execution.metadata.uid, wire)
        try:
            written = await put_status(self._services.kube, EXECUTIONS, execution.metadata, wire)
        except NotFound:
            return None
        self._services.executions.remember(written)
        return written
