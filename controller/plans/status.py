"""Changing a plan's status: read fresh, compute, write with the resourceVersion that was read (invariants 4, 5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from app.kube.errors import ABSENT, Conflict, NotFound
from app.kube.fresh import Attempts
from app.kube.resources import PLANS
from app.models.plan import DRPlan, DRPlanStatus
from app.rules.decode import member_problems
from app.runtime.parts import decoded
from controller.services import Services
from controller.status_put import put_status

Change = Callable[[DRPlan], Awaitable[DRPlanStatus | None]]
"""Computes the new status of a plan from its current state; None when nothing is to change."""


class PlanUnreadableError(Exception):
    """A stored plan that does not decode; the message names it and the members at fault."""


def problems_of(error: ValidationError) -> str:
    """Return what is wrong with a stored object, by field path and without its values (decision O2)."""
    return "; ".join(f"{problem.path} {problem.text}" for problem in member_problems(error))


async def read_plan(services: Services, namespace: str, name: str) -> DRPlan | None:
    """Return a plan, read fresh; None when there is none. Raises `PlanUnreadableError` and `KubeError`."""
    try:
        found = await services.kube.get(PLANS, name, namespace=namespace)
    except ABSENT:
        return None
    if why := services.suspects.refusal(found):
        raise PlanUnreadableError(f"DRPlan {namespace}/{name} is set aside: {why}")
    try:
        return await decoded(DRPlan, found)
    except ValidationError as error:
        raise PlanUnreadableError(f"DRPlan {namespace}/{name} cannot be read: {problems_of(error)}") from error


async def change_plan_status(
    services: Services, namespace: str, name: str, change: Change, known: DRPlan | None = None
) -> DRPlan | None:
    """Apply `change` to a plan's status by compare-and-swap; return the plan after it, None when there is none.

    The first try is made on the plan as `known`, when the caller has just read it. On a conflict the plan is read again
    and the change computed anew.
    """
    attempts = Attempts(f"the status of DRPlan {namespace}/{name}")
    while True:
        plan, known = known or await read_plan(services, namespace, name), None
        if plan is None:
            return None
        status = await change(plan)
        if status is None or status == plan.status:
            return plan
        try:
            stored = await put_status(services.kube, PLANS, plan.metadata, status.to_wire())
        except Conflict:
            attempts.conflict()
            continue
        except NotFound:
            return None
        services.plans.remember(stored)
        return await decoded(DRPlan, stored)
