"""How large the status of a run can become, after everything that can be shortened has been (decision D6).

The numbers are what the members of a status take as JSON: times and durations as long as they get, messages as short as
they are cut at the end. They are an estimate to refuse plans that cannot be recorded, not a limit to fill up.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.models.actions import Action, ActionType
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow

MAX_STATUS_BYTES = 1024 * 1024
"""Largest status of an execution."""

_BASE = 4096
_STAGE = 320
_WORKFLOW = 400
_ACTION = 330
_REFERENCE = 330
_HTTP_ANSWER = 60
_SMALLEST = _ACTION + 1 + _HTTP_ANSWER
"""One HTTP action with a short name."""

WorkflowKey = tuple[str, str]
"""Namespace and name of a workflow."""


def estimate_status_bytes(plan: DRPlan, workflows: Mapping[WorkflowKey, DRWorkflow | None]) -> int:
    """Bytes of the shortest complete status of a run of `plan`. Workflows that are not known count as the smallest."""
    total = _BASE
    actions = {key: sum(map(_action, each.spec.actions)) for key, each in workflows.items() if each is not None}
    for stage in plan.spec.stages:
        total += _STAGE + _length(stage.name) + sum(_length(name) + 3 for name in stage.depends_on)
        for use in stage.workflows:
            reference = use.workflow_ref
            namespace = reference.namespace or plan.metadata.namespace
            total += _WORKFLOW + 2 * (_length(namespace) + _length(reference.name))
            total += actions.get((namespace, reference.name), _SMALLEST)
    return total


def _action(action: Action) -> int:
    size = _ACTION + _length(action.name)
    if action.type is ActionType.HTTP:
        return size + _HTTP_ANSWER
    if action.type is ActionType.KUBERNETES_RESOURCE and action.resource is not None:
        documents = 1 + action.resource.manifest.count("\n---")
        return size + _REFERENCE * (1 if documents == 1 else documents + 1)
    return size + _REFERENCE


def _length(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
