"""From stored plans to what the API shows of them: no values of parameters. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.models.names import CONDITION_READY
from app.models.plan import DRPlan
from app.service.api.models import PlanDetail, PlanItem, PlanStage


def plan_item(plan: Mapping[str, Any]) -> PlanItem:
    """A plan in short. Reads the stored object leniently, so that one odd plan does not spoil a list."""
    meta, spec, status = plan["metadata"], plan.get("spec") or {}, plan.get("status") or {}
    ready: Mapping[str, Any] = next(
        (each for each in status.get("conditions") or () if each.get("type") == CONDITION_READY), {}
    )
    return PlanItem(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta.get("uid", ""),
        created=meta.get("creationTimestamp"),
        description=spec.get("description") or "",
        phase=status.get("phase") or "",
        message=ready.get("message") or "",
        last_execution_ref=status.get("lastExecutionRef") or "",
        last_execution_time=status.get("lastExecutionTime"),
        current_execution=(status.get("currentExecution") or {}).get("name") or "",
    )


def plan_detail(stored: Mapping[str, Any]) -> PlanDetail:
    """A plan with its stages and its own records. Raises pydantic.ValidationError for one that cannot be read."""
    plan = DRPlan.from_wire(stored)
    stages = tuple(
        PlanStage(
            name=stage.name,
            description=stage.description,
            depends_on=stage.depends_on,
            parallel=stage.parallel,
            failure_policy=stage.failure_policy.value if stage.failure_policy else "",
            workflows=tuple("/".join(use.workflow_ref.key_in(plan.metadata.namespace)) for use in stage.workflows),
        )
        for stage in plan.spec.stages
    )
    return PlanDetail(
        **dict(plan_item(stored)),
        failure_policy=plan.spec.failure_policy.value,
        stages=stages,
        conditions=plan.status.conditions,
        execution_history=plan.status.execution_history,
    )
