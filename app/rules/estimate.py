"""How large the status of a run can become, after everything that can be shortened has been (decision D6).

The numbers are what the members of a status take as JSON: times and durations as long as they get, messages as short as
they are cut at the end. They are an estimate to refuse plans that cannot be recorded, not a limit to fill up.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.models.actions import BLOCK_OF_TYPE, Action, ActionType
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow

MAX_STATUS_BYTES = 1024 * 1024
"""Largest status of an execution."""

_BASE = 10 * 1024
"""The run itself: its message and those of its conditions are not shortened."""
_STAGE = 370
_WORKFLOW = 450
_ACTION = 410
_CHECK = 480
_REFERENCE = 330
"""An object with names as they mostly are."""
_REFERENCE_WITHOUT_TEXTS = 110
_LONGEST = {"name": 253, "namespace": 63, "apiVersion": 317, "kind": 63}
"""Bytes of the texts of a reference, as long as the API server takes them."""
_HTTP_ANSWER = 60
_SMALLEST = _ACTION + 1 + _HTTP_ANSWER
"""One HTTP action with a short name."""

WorkflowKey = tuple[str, str]
"""Namespace and name of a workflow."""


def estimate_status_bytes(plan: DRPlan, workflows: Mapping[WorkflowKey, DRWorkflow | None]) -> int:
    """Bytes of the shortest complete status of a run of `plan`. Workflows that are not known count as the smallest."""
    total = _BASE
    of_run = plan.spec.health_check.checks if plan.spec.health_check is not None else ()
    total += sum(_CHECK + _length(check.name) for check in of_run)
    actions = {key: _actions(each) for key, each in workflows.items() if each is not None}
    for stage in plan.spec.stages:
        total += _STAGE + _length(stage.name) + sum(_length(name) + 3 for name in stage.depends_on)
        checks = stage.health_check.checks if stage.health_check is not None else ()
        total += sum(_CHECK + _length(check.name) + _length(stage.name) for check in checks)
        for use in stage.workflows:
            key = use.workflow_ref.key_in(plan.metadata.namespace)
            total += _WORKFLOW + 2 * sum(map(_length, key))
            total += actions.get(key, _SMALLEST)
    return total


def _actions(workflow: DRWorkflow) -> int:
    """All actions of a workflow, and the name of the one that runs."""
    current = max((_length(action.name) for action in workflow.spec.actions), default=0)
    return current + sum(map(_action, workflow.spec.actions))


def _action(action: Action) -> int:
    size = _ACTION + _length(action.name)
    if action.type is ActionType.HTTP:
        return size + _HTTP_ANSWER
    if action.type is ActionType.KUBERNETES_RESOURCE and action.resource is not None:
        documents = action.resource.manifest.split("\n---")
        return size + sum(map(_reference, documents)) + (_reference(documents[0]) if len(documents) > 1 else 0)
    name = getattr(getattr(action, BLOCK_OF_TYPE[action.type], None), "name", "")
    return size + max(_REFERENCE, _texts(len(name), placeholder="$(" in name))


def _reference(document: str) -> int:
    """One object of a manifest: its texts are single words there, or come from parameters."""
    longest = max(map(_length, document.split()), default=0)
    return max(_REFERENCE, _texts(longest, placeholder="$(" in document))


def _texts(longest: int, *, placeholder: bool) -> int:
    """A reference whose texts are no longer than `longest`, unless a placeholder may stand for more.

    The namespace may come from elsewhere.
    """
    bounds = {**_LONGEST, "apiVersion": 64} if placeholder else _LONGEST
    texts = sum(most if placeholder or each == "namespace" else min(longest, most) for each, most in bounds.items())
    return _REFERENCE_WITHOUT_TEXTS + texts


def _length(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
