"""Indexes of the caches: which plans use a workflow, which executions belong to a plan or to another execution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.models.phases import Phase, has_ended
from app.models.stored import items, members

BY_WORKFLOW = "workflow"
"""Plans by `namespace/name` of each workflow that they use."""
BY_PLAN = "plan"
"""Executions that have not started, by `namespace/name` of their plan."""
BY_STARTED_PLAN = "started-plan"
"""Executions that have started and not ended, by `namespace/name` of their plan."""
BY_ENDED_PLAN = "ended-plan"
"""Executions that ran and have ended, by `namespace/name` of their plan."""
BY_TARGET = "target"
"""Unfinished Reverts by `namespace/name` of the execution they take back."""

Index = Callable[[dict[str, Any]], Iterable[str]]
"""Returns the values by which an object is found."""


def _workflows_of_plan(plan: dict[str, Any]) -> Iterable[str]:
    namespace = plan["metadata"].get("namespace", "")
    for stage in items(members(plan.get("spec")).get("stages")):
        for used in items(members(stage).get("workflows")):
            ref = members(members(used).get("workflowRef"))
            yield f"{ref.get('namespace') or namespace}/{ref.get('name', '')}"


def _target_of_unfinished(execution: dict[str, Any]) -> Iterable[str]:
    target = members(execution.get("spec")).get("revertExecutionRef")
    if target and not has_ended(members(execution.get("status")).get("phase")):
        yield f"{execution['metadata'].get('namespace', '')}/{target}"


def _plan_of_unstarted(execution: dict[str, Any]) -> Iterable[str]:
    if members(execution.get("status")).get("phase", Phase.PENDING) in ("", Phase.PENDING):
        yield _plan_of(execution)


def _plan_of_started(execution: dict[str, Any]) -> Iterable[str]:
    if members(execution.get("status")).get("phase") in (Phase.RUNNING, Phase.UNKNOWN):
        yield _plan_of(execution)


def _plan_of_ended(execution: dict[str, Any]) -> Iterable[str]:
    status = members(execution.get("status"))
    if has_ended(status.get("phase")) and status.get("progress"):
        yield _plan_of(execution)


def _plan_of(execution: dict[str, Any]) -> str:
    return f"{execution['metadata'].get('namespace', '')}/{members(execution.get('spec')).get('planRef', '')}"


OF_PLANS: Mapping[str, Index] = {BY_WORKFLOW: _workflows_of_plan}
"""The indexes of the cache of plans."""
OF_EXECUTIONS: Mapping[str, Index] = {
    BY_PLAN: _plan_of_unstarted,
    BY_STARTED_PLAN: _plan_of_started,
    BY_ENDED_PLAN: _plan_of_ended,
    BY_TARGET: _target_of_unfinished,
}
"""The indexes of the cache of executions."""
