"""What a definition asks for that the Go operator does not do, or does otherwise (docs/upgrade.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.engine.when import WhenError, parse_when
from app.models.stored import items, members

_HTTP: Final = {
    "caBundle": "ignored; the system's certificates count",
    "clientCertificateSecretRef": "ignored; no certificate is shown to the server",
    "headersFrom": "ignored; the request is sent without these headers",
    "followRedirects": "ignored; redirects are followed, a POST answered 301 or 302 as GET",
    "requestTimeout": "ignored; the time-out of the Go operator's client counts",
    "delivery": "ignored; the request may be sent again",
}
_PLACEHOLDER: Final = re.compile(
    r"(?<!\$)(?:\$\((?:planName|executionName|mode|outputs\.[^)\s]+)\)|\$\$++\([^)]*\))",
)
_DOCUMENTS: Final = re.compile(r"(?m)^---\s*$")


def earlier_notes(kind: str, spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield `<field path>: <what becomes of it there>` for the spec of a stored DRPlan or DRWorkflow."""
    if kind == "DRPlan":
        most = spec.get("maxParallelStages")
        if isinstance(most, int) and most > 1:
            yield "spec.maxParallelStages: ignored; stages run one at a time"
    elif kind == "DRWorkflow":
        for index, action in enumerate(map(members, items(spec.get("actions")))):
            path = f"spec.actions[{index}]"
            yield from _body(action, path)
            yield from _action(action, path)


def _action(action: Mapping[str, Any], path: str) -> Iterator[str]:
    rollback = members(action.get("rollback"))
    if rollback:
        yield from _body(rollback, f"{path}.rollback")
    own = rollback.get("type") or action.get("type")
    if own != action.get("type"):
        yield f"{path}.rollback.type: ignored; it is run as a rollback of type {action.get('type')}"
    try:
        parse_when(str(action.get("when") or ""))
    except WhenError:
        yield f"{path}.when: refused when the action is reached; only modes can be compared"


def _body(body: Mapping[str, Any], path: str) -> Iterator[str]:
    for member, text in _HTTP.items():
        if member in members(body.get("http")):
            yield f"{path}.http.{member}: {text}"
    if members(body.get("retryPolicy")).get("limit") == 0:
        yield f"{path}.retryPolicy.limit: 0 counts as 3 for HTTP; other types are never repeated"
    if body.get("waitReady") and body.get("type") == "KubernetesResource":
        yield f"{path}.waitReady: ignored; the action ends when the object is stored"
    resource = members(body.get("resource"))
    if len([part for part in _DOCUMENTS.split(str(resource.get("manifest") or "")) if part.strip()]) > 1:
        yield f"{path}.resource.manifest: has several documents; one is expected"
    for found in sorted({match.group(0) for text in _texts(body) for match in _PLACEHOLDER.finditer(text)}):
        yield f"{path}: {found} is not replaced as here"


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401  (stored data)
    """Every text of an action, without those of its rollback, which is looked at by itself."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in ("rollback", "when"):
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
