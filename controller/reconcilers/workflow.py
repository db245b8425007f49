"""DRWorkflows: validate, publish phase and condition."""

from __future__ import annotations

from app.kube.errors import NotFound
from app.kube.resources import WORKFLOWS
from app.models.meta import ObjectMeta
from app.models.phases import WorkflowPhase
from app.models.workflow import DRWorkflowStatus
from app.runtime.parts import decoded
from controller.lanes import Key
from controller.services import Services
from controller.set_aside import tell_set_aside
from controller.status_put import put_status
from controller.validity import ready_condition


class WorkflowReconciler:
    """Keeps the status of a workflow as its spec deserves."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def reconcile(self, key: Key) -> float | None:
        """Validate one workflow; nothing is written when its status already says so."""
        stored = self._services.workflows.get(*key)
        if stored is None:
            return None
        report = await self._services.validator.workflow(stored)
        tell_set_aside(self._services, stored, report)
        old = await decoded(DRWorkflowStatus, stored.get("status") or {})
        generation = int(stored["metadata"].get("generation", 0))
        new = old.model_copy(
            update={
                "phase": WorkflowPhase.INVALID if report.stoppers else WorkflowPhase.READY,
                "conditions": ready_condition(old.conditions, report, "Workflow", generation, self._services.now()),
                "observed_generation": generation,
                "action_count": len((stored.get("spec") or {}).get("actions") or ()),
            }
        )
        if new == old:
            return None
        try:
            metadata = ObjectMeta.from_wire(stored["metadata"])
            written = await put_status(self._services.kube, WORKFLOWS, metadata, new.to_wire())
        except NotFound:
            return None
        self._services.workflows.remember(written)
        return None
