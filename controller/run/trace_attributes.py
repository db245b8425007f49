"""What spans of runs say of themselves: OpenTelemetry's conventions where there are some, else `drplan.*`.

Only what a status shows, or what the author wrote into a workflow, is said, so that no secret gets out: of a URL the
host and port, and only where they are no template.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from app.engine.definition import ActionDefinition, RollBack, references
from app.models.actions import ActionType, HttpAction
from app.models.execution import ActionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Phase
from app.runtime.tracing import AttributeValue

Part = StageStatus | WorkflowExecutionStatus | ActionStatus

_NAMED_KINDS = ("CronJob", "DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet")
"""Kinds that OpenTelemetry has an attribute for: `k8s.<kind>.name`."""


def part_attributes(part: Part) -> dict[str, AttributeValue]:
    """Return what spans of all levels say; an error's message is the status of its span."""
    told: dict[str, AttributeValue] = {"drplan.phase": part.phase.value}
    if part.message and part.phase is not Phase.FAILED:
        told["drplan.message"] = part.message
    return told


def action_attributes(node: ActionDefinition, action: ActionStatus) -> dict[str, AttributeValue]:
    """Return what the span of an action says besides."""
    told: dict[str, AttributeValue] = {"drplan.action.type": node.type, "drplan.action.attempts": action.attempt}
    if isinstance(node.step, RollBack):
        told["drplan.rollback.custom"] = node.step.custom
    return told | _http(node, action) | _objects(action)


def is_call(node: ActionDefinition) -> bool:
    """Tell whether the span of an action is the client's side of a HTTP request."""
    return _request(node) is not None


def _request(node: ActionDefinition) -> HttpAction | None:
    step = node.step
    if step is None or step.type is not ActionType.HTTP or (isinstance(step, RollBack) and not step.custom):
        return None
    return step.body.http


def _http(node: ActionDefinition, action: ActionStatus) -> dict[str, AttributeValue]:
    block = _request(node)
    if block is None:
        return {}
    told: dict[str, AttributeValue] = {"http.request.method": block.method or "GET", **_server(block.url)}
    response = action.outputs.http_response if action.outputs is not None else None
    if response is not None:
        told["http.response.status_code"] = response.status_code
        if action.phase is Phase.FAILED:
            told["error.type"] = str(response.status_code)
    if action.attempt > 1:
        told["http.request.resend_count"] = action.attempt - 1
    return told


def _server(url: str) -> dict[str, AttributeValue]:
    try:
        parsed = urlsplit(url)
        host, port = parsed.hostname, parsed.port
    except ValueError:
        return {}
    if not host or "$(" in parsed.netloc or "{{" in parsed.netloc:
        return {}
    default = 443 if parsed.scheme == "https" else 80
    return {"server.address": host, "server.port": port or default}


def _objects(action: ActionStatus) -> dict[str, AttributeValue]:
    found = references(action.outputs)
    told: dict[str, AttributeValue] = {}
    if found:
        told["drplan.objects"] = [
            f"{ref.kind} {f'{ref.namespace}/' if ref.namespace else ''}{ref.name}" for ref in found
        ]
    for ref in found:
        if ref.kind in _NAMED_KINDS:
            told.setdefault(f"k8s.{ref.kind.lower()}.name", ref.name)
    return told
