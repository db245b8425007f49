"""The plan of an execution and its workflows, read fresh and at the same time: what a start is decided from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from pydantic import ValidationError

from app.kube.errors import ApiError, IllegalName, is_transient
from app.kube.resources import WORKFLOWS
from app.models.execution import DRPlanExecution
from app.models.phases import Operation
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.findings import Report
from app.rules.levels import is_too_deep
from app.rules.plan import workflow_keys
from app.rules.weight import takes_long
from app.rules.workflow import check_workflow
from app.runtime.groups import both, together
from app.runtime.last_work import to_thread
from app.runtime.parts import decoded
from app.runtime.workers import BusyError
from controller.lanes import Key
from controller.plans.status import PlanUnreadableError, read_plan
from controller.services import Services

ReadWorkflow = tuple[DRWorkflow | None, str]
"""A workflow, None when there is none to be had, and why it cannot be run, empty when it can."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """What was read. `workflows` are those that the plan was known to use; it may use others by now."""

    plan: DRPlan | None
    workflows: Mapping[Key, ReadWorkflow]
    unreadable: str = ""
    """Why the stored plan cannot be read."""


async def read_definitions(services: Services, execution: DRPlanExecution) -> Definitions:
    """Read the plan and, meanwhile, the workflows that the cache says it uses. Raises `KubeError` for another try."""
    (plan, unreadable), workflows = await both(
        _read_plan(services, execution), read_workflows(services, await _expected(services, execution))
    )
    return Definitions(plan, workflows, unreadable)


async def read_workflows(services: Services, keys: Iterable[Key]) -> dict[Key, ReadWorkflow]:
    """Read workflows, all at once. Raises `KubeError` when that may pass."""
    wanted = list(keys)
    return dict(zip(wanted, await together(_read_workflow(services, key) for key in wanted), strict=True))


async def _read_plan(services: Services, execution: DRPlanExecution) -> tuple[DRPlan | None, str]:
    try:
        return await read_plan(services, execution.metadata.namespace, execution.spec.plan_ref), ""
    except PlanUnreadableError as error:
        return None, str(error)


async def _expected(services: Services, execution: DRPlanExecution) -> list[Key]:
    """Return the workflows of a plan that may be run, as the cache has it; none of a Revert, which has its snapshot."""
    stored = services.plans.get(execution.metadata.namespace, execution.spec.plan_ref)
    if stored is None or services.suspects.refusal(stored) or execution.spec.operation_type is not Operation.EXECUTE:
        return []
    try:
        plan = await decoded(DRPlan, stored)
    except ValidationError:
        return []
    is_free = plan.status.current_execution is None and plan.status.observed_generation == plan.metadata.generation
    return workflow_keys(plan) if is_free else []


async def _read_workflow(services: Services, key: Key) -> ReadWorkflow:
    namespace, name = key
    try:
        stored = await services.kube.get(WORKFLOWS, name, namespace=namespace)
        if why := services.suspects.refusal(stored):
            return None, f"workflow {namespace}/{name} is set aside: {why}"
        workflow = await decoded(DRWorkflow, stored)
    except (ApiError, IllegalName, ValidationError) as error:
        if is_transient(error):
            raise
        return None, f"failed to get workflow {namespace}/{name}: {error}"
    stoppers = (await _report(services, stored, workflow)).stoppers
    listed = "; ".join(finding.message for finding in stoppers)
    return workflow, f"workflow {namespace}/{name} is invalid: {listed}" if stoppers else ""


async def _report(services: Services, stored: dict[str, Any], workflow: DRWorkflow) -> Report:
    """Return what the rules say about a workflow. A worker most likely judged a large one before: it is remembered."""
    check = partial(check_workflow, workflow, own_namespace=services.settings.namespace)
    if not is_too_deep(stored) and not takes_long(orjson.dumps(stored)):
        return check()
    try:
        return await services.validator.workflow(stored)
    except BusyError:
        return await to_thread(check)
