"""DRPlans: validate, publish phase and condition, let go of a lock whose execution is gone (decisions P1, D7, D8)."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from app.engine.history import Run, completed, valid_phase, without_stale_lock
from app.kube.errors import NotFound
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from app.models.base import ApiModel
from app.models.execution import DRPlanExecution
from app.models.phases import PlanPhase
from app.models.plan import CurrentExecution, DRPlan, DRPlanStatus
from app.models.workflow import DRWorkflow
from app.rules.findings import Report
from app.rules.plan import check_plan, workflow_keys
from controller.completion import mark_target, revert_snapshot
from controller.plan_status import change_plan_status
from controller.queue import Key
from controller.reconcilers.validity import judge, ready_condition
from controller.services import Services

M = TypeVar("M", bound=ApiModel)


async def settled_lock(services: Services, status: DRPlanStatus, namespace: str) -> DRPlanStatus:
    """Return a plan's status with a stale lock released; the same object when the lock is sound or absent.

    The holder is read fresh. One that has ended has its completion applied in the same write (decision D7); what it
    took back is marked before that, because nobody would do so once the lock is gone.
    """
    held = status.current_execution
    if held is None:
        return status
    holder = await read_holder(services, held, namespace)
    if holder is None:
        return without_stale_lock(status, services.now())
    if holder.phase.is_final:
        run = Run.of(holder, target_uid=await mark_target(services, holder, await revert_snapshot(services, holder)))
        sound = status.model_copy(update={"current_execution": held.model_copy(update={"uid": holder.metadata.uid})})
        return completed(sound, run)
    return status


async def read_holder(services: Services, held: CurrentExecution, namespace: str) -> DRPlanExecution | None:
    """Return the execution that a lock names, read fresh; None when it is gone or another one has its name."""
    try:
        found = await services.kube.get(EXECUTIONS, held.name, namespace=held.namespace or namespace)
    except NotFound:
        return None
    holder = DRPlanExecution.from_wire(found)
    return holder if not held.uid or holder.metadata.uid == held.uid else None


def _decoded(model: type[M], stored: dict[str, Any]) -> M | None:
    try:
        return model.from_wire(stored)
    except ValidationError:
        return None


class PlanReconciler:
    """Keeps the status of a plan as its spec, its workflows and its executions deserve."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def reconcile(self, key: Key) -> float | None:
        """Validate one plan; nothing is written when its status already says so."""
        stored = self._services.plans.get(*key)
        if stored is None:
            return None
        plan = _decoded(DRPlan, stored)
        workflows = {} if plan is None else await self._workflows(plan)
        own = self._services.settings.namespace
        report = judge(DRPlan, stored, lambda plan: check_plan(plan, workflows, own_namespace=own))
        namespace, name = key

        async def change(plan: DRPlan) -> DRPlanStatus | None:
            if str(plan.metadata.generation) != str(stored["metadata"].get("generation", 0)):
                return None
            return self._judged(await settled_lock(self._services, plan.status, namespace), plan, report)

        if plan is None:
            await self._declare_unreadable(stored, report)
            return None
        if self._is_current(stored, report):
            return None
        await change_plan_status(self._services, namespace, name, change)
        return None

    async def _workflows(self, plan: DRPlan) -> dict[Key, DRWorkflow | None]:
        """Return the workflows of a plan. That one does not exist is never the word of the cache alone."""
        found: dict[Key, DRWorkflow | None] = {}
        for key in workflow_keys(plan):
            stored = self._services.workflows.get(*key) or await self._read_workflow(key)
            if stored is None:
                found[key] = None
            elif (workflow := _decoded(DRWorkflow, stored)) is not None:
                found[key] = workflow
        return found

    async def _read_workflow(self, key: Key) -> dict[str, Any] | None:
        namespace, name = key
        try:
            return await self._services.kube.get(WORKFLOWS, name, namespace=namespace)
        except NotFound:
            return None

    def _is_current(self, stored: dict[str, Any], report: Report) -> bool:
        """Tell from the cache whether there is nothing to write, so that an unchanged plan costs no request."""
        plan = _decoded(DRPlan, stored)
        if plan is None:
            return False
        held = plan.status.current_execution
        if held is not None:
            holder = self._services.executions.get(held.namespace or plan.metadata.namespace, held.name)
            if holder is None or DRPlanExecution.from_wire(holder).phase.is_final:
                return False
        return self._judged(plan.status, plan, report) == plan.status

    async def _declare_unreadable(self, stored: dict[str, Any], report: Report) -> None:
        """Say Invalid on a plan that does not decode, and leave the rest of its status as it is."""
        status = stored.get("status") or {}
        generation = int(stored["metadata"].get("generation", 0))
        if status.get("phase") == PlanPhase.INVALID and status.get("observedGeneration") == generation:
            return
        [condition] = ready_condition((), report, "Plan", generation, self._services.now())
        patch = {
            "metadata": {"resourceVersion": stored["metadata"]["resourceVersion"]},
            "status": {
                "phase": PlanPhase.INVALID.value,
                "conditions": [condition.to_wire()],
                "observedGeneration": generation,
            },
        }
        namespace, name = stored["metadata"]["namespace"], stored["metadata"]["name"]
        await self._services.kube.patch(PLANS, name, patch, namespace=namespace, subresource="status")

    def _judged(self, status: DRPlanStatus, plan: DRPlan, report: Report) -> DRPlanStatus:
        generation = plan.metadata.generation
        return status.model_copy(
            update={
                "phase": PlanPhase.INVALID if report.stoppers else valid_phase(status),
                "conditions": ready_condition(status.conditions, report, "Plan", generation, self._services.now()),
                "observed_generation": generation,
            }
        )
