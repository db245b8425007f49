"""Defaulting (contract: admission 3), as JSON patches that add just what is missing.

Not defaulted: the failure policy of stages, because the plan's policy of the moment counts (decision P4), and members
of payloads such as `localization.spec.priority`, which are filled in when the action runs (decision W8). What cannot be
understood is left to the schema validation that follows (contract: admission 10.16). An update that leaves the spec
alone gets no patch (decision W7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.models.stored import items
from webhook.review import JsonObject, Request

DEFAULT_TIMEOUT = "5m"
DEFAULT_RETRY: JsonObject = {"limit": 3, "interval": "5s", "backoffMultiplier": "2.0"}
OPERATION_BLOCKS = {
    "Localization": "localization",
    "Globalization": "globalization",
    "HelmChart": "helmChart",
    "Subscription": "subscription",
    "KubernetesResource": "resource",
}

Patch = list[JsonObject]
Defaulter = Callable[[Request], Patch]


def default_workflow(request: Request) -> Patch:
    """The patch for a DRWorkflow."""
    spec = _changed_spec(request)
    if spec is None:
        return []
    patch = _missing("/spec", spec, "failurePolicy", "FailFast")
    for path, action in _items("/spec/actions", spec.get("actions")):
        patch += _missing(path, action, "timeout", DEFAULT_TIMEOUT)
        if action.get("retryPolicy") is None:
            patch.append(_add(f"{path}/retryPolicy", DEFAULT_RETRY))
        type_ = action.get("type")
        http = action.get("http")
        if type_ == "HTTP" and isinstance(http, dict):
            patch += _missing(f"{path}/http", http, "method", "GET")
        member = OPERATION_BLOCKS.get(type_, "") if isinstance(type_, str) else ""
        block = action.get(member)
        if isinstance(block, dict):
            patch += _missing(f"{path}/{member}", block, "operation", "Create")
    return patch


def default_plan(request: Request) -> Patch:
    """The patch for a DRPlan."""
    spec = _changed_spec(request)
    if spec is None:
        return []
    patch = _missing("/spec", spec, "failurePolicy", "Stop")
    for stage_path, stage in _items("/spec/stages", spec.get("stages")):
        for path, use in _items(f"{stage_path}/workflows", stage.get("workflows")):
            reference = use.get("workflowRef")
            if isinstance(reference, dict) and request.namespace:
                patch += _missing(f"{path}/workflowRef", reference, "namespace", request.namespace)
    return patch


def _changed_spec(request: Request) -> JsonObject | None:
    """The spec, if there is one and this request says something new about it."""
    spec = request.new.get("spec")
    if not isinstance(spec, dict) or (request.operation == "UPDATE" and spec == request.old.get("spec")):
        return None
    deleting = isinstance(metadata := request.new.get("metadata"), dict) and metadata.get("deletionTimestamp")
    return None if deleting else spec


def _items(path: str, value: Any) -> Iterator[tuple[str, JsonObject]]:  # noqa: ANN401  (any JSON value)
    """The objects of a list, each with its JSON pointer."""
    for index, item in enumerate(items(value)):
        if isinstance(item, dict):
            yield f"{path}/{index}", item


def _missing(path: str, parent: JsonObject, member: str, default: str) -> Patch:
    """Set a text that is absent or empty."""
    return [_add(f"{path}/{member}", default)] if parent.get(member) in (None, "") else []


def _add(path: str, value: object) -> JsonObject:
    return {"op": "add", "path": path, "value": value}
