"""DRPlans: validate, publish phase and condition, let go of a lock whose execution is gone (decisions P1, D7, D8)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from app.engine.history import PlanRun, valid_phase
from app.kube.errors import ABSENT, KubeError
from app.kube.resources import PLANS, WORKFLOWS
from app.models.names import CONDITION_AUTHORIZED
from app.models.phases import Phase, PlanPhase, has_ended
from app.models.plan import DRPlan, DRPlanStatus
from app.models.stored import members
from app.models.workflow import DRWorkflow
from app.rules.findings import Report
from app.rules.plan import workflow_keys
from app.runtime.parts import decoded
from controller.lanes import Key
from controller.plans.lock import kept_lock, sound_lock
from controller.plans.rights import PlanRights, tell_unasked, with_authorized
from controller.plans.status import change_plan_status
from controller.run.runner import Run
from controller.run.runs import Runs
from controller.services import Services
from controller.set_aside import tell_set_aside
from controller.validity import ready_condition


def _owner_of(run: Run) -> PlanRun:
    """Return what the plan's lock and history say of a run that is under way."""
    return PlanRun(
        name=run.snapshot.execution_name,
        namespace=run.snapshot.execution_namespace,
        uid=run.uid,
        operation=run.snapshot.operation,
        phase=run.status.phase or Phase.RUNNING,
        start_time=run.status.start_time,
        completion_time=None,
    )


async def _readable(stored: dict[str, Any]) -> DRPlan | None:
    try:
        return await decoded(DRPlan, stored)
    except ValidationError:
        return None


async def _known(stored: Mapping[Key, Mapping[str, Any] | None]) -> dict[Key, DRWorkflow | None]:
    """Return the workflows that can be decoded."""
    found: dict[Key, DRWorkflow | None] = {}
    for key, data in stored.items():
        with suppress(ValidationError):
            found[key] = None if data is None else await decoded(DRWorkflow, data)
    return found


def _version(stored: Mapping[str, Any] | None) -> str:
    metadata = stored["metadata"] if stored is not None else {}
    return f"{metadata.get('uid')}@{metadata.get('generation')}"


class PlanReconciler:
    """Keeps the status of a plan as its spec, its workflows and its executions deserve."""

    def __init__(self, services: Services, runs: Runs) -> None:
        self._services = services
        self._runs = runs
        self._rights = PlanRights(services.kube)

    async def reconcile(self, key: Key) -> float | None:
        """Validate one plan; nothing is written when its status already says so."""
        stored = self._services.plans.get(*key)
        if stored is None:
            self._rights.forget(key)
            return None
        plan = await _readable(stored)
        workflows = {} if plan is None else await self._workflows(plan)
        report = await self._services.validator.plan(stored, workflows)
        tell_set_aside(self._services, stored, report)
        namespace, name = key

        async def change(plan: DRPlan) -> DRPlanStatus | None:
            if str(plan.metadata.generation) != str(stored["metadata"].get("generation", 0)):
                return None
            settled = await sound_lock(self._services, plan.status, plan.metadata)
            return self._judged(self._with_own_lock(settled, plan), plan, report)

        if plan is None:
            await self._declare_unreadable(stored, report)
            return None
        if not self._is_current(plan, report):
            await change_plan_status(self._services, namespace, name, change)
        return None if report.stoppers else await self._authorized(key, plan, workflows)

    async def _authorized(self, key: Key, plan: DRPlan, workflows: Mapping[Key, Mapping[str, Any] | None]) -> float:
        """Ask, once the plan was judged, whether the controller may do what it says; return when to ask again.

        A question that is not answered is put again later: nothing waits for it.
        """
        version = (plan.metadata.uid, str(plan.metadata.generation), *map(_version, workflows.values()))
        if (seconds := self._rights.seconds_until(key, version)) > 0:
            return seconds
        try:
            lacking = await self._rights.lacking(key, version, plan, await _known(workflows))
        except KubeError as error:
            tell_unasked(key, error)
            return self._rights.seconds_until(key, version)

        async def change(now: DRPlan) -> DRPlanStatus | None:
            generation = plan.metadata.generation
            if now.metadata.generation != generation:
                return None
            return with_authorized(now.status, lacking, self._services, generation)

        if lacking or any(condition.type == CONDITION_AUTHORIZED for condition in plan.status.conditions):
            await change_plan_status(self._services, *key, change)
        return self._rights.seconds_until(key, version)

    async def _workflows(self, plan: DRPlan) -> dict[Key, dict[str, Any] | None]:
        """Return the workflows of a plan. That one does not exist is never the word of the cache alone."""
        found = {
            key: self._services.workflows.get(*key) or await self._read_workflow(key) for key in workflow_keys(plan)
        }
        return {key: each for key, each in found.items() if each is None or not self._services.suspects.refusal(each)}

    async def _read_workflow(self, key: Key) -> dict[str, Any] | None:
        namespace, name = key
        try:
            return await self._services.kube.get(WORKFLOWS, name, namespace=namespace)
        except ABSENT:
            return None

    def _is_current(self, plan: DRPlan, report: Report) -> bool:
        """Tell from the cache whether there is nothing to write, so that an unchanged plan costs no request."""
        held = plan.status.current_execution
        if held is not None:
            holder = self._services.executions.get(held.namespace or plan.metadata.namespace, held.name)
            if holder is None or has_ended(members(holder.get("status")).get("phase")):
                return False
            if members(holder.get("spec")).get("planRef") != plan.metadata.name:
                return False
        return self._judged(self._with_own_lock(plan.status, plan), plan, report) == plan.status

    def _with_own_lock(self, status: DRPlanStatus, plan: DRPlan) -> DRPlanStatus:
        """Return the status with the lock of the run that is under way here, if somebody took it away.

        While a run is being completed, it lets go of the lock itself.
        """
        run = self._runs.of_plan(plan.metadata.namespace, plan.metadata.name)
        return status if run is None or run.has_ended else kept_lock(self._services, status, _owner_of(run))

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
