"""Reads the API server's audit log: which requests were made, by whom, and how they ended."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}
"""Every request once, when it has ended, without bodies."""


@dataclass(frozen=True, slots=True)
class AuditedRequest:
    """One finished request."""

    verb: str
    """Kubernetes verb: get, list, watch, create, update, patch, delete, deletecollection."""
    user: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    """HTTP status of the answer."""
    uri: str
    received: str
    """When it arrived (RFC 3339, microseconds)."""
    user_agent: str
    allowed: bool
    """Whether the user has the right; a 403 to an allowed request is of something else, e.g. admission."""
    binding: str = ""
    """Name of the (Cluster)RoleBinding that allowed it; that of a RoleBinding is ``<name>/<namespace>``."""


_ALLOWED_BY = re.compile(r'RBAC: allowed by (?:ClusterRole|Role)Binding "([^"]+)"')


def _parse(line: bytes) -> AuditedRequest:
    event = json.loads(line)
    target = event.get("objectRef") or {}
    annotations = event.get("annotations", {})
    allowed_by = _ALLOWED_BY.match(annotations.get("authorization.k8s.io/reason", ""))
    return AuditedRequest(
        verb=event["verb"],
        user=event["user"].get("username", ""),
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
        received=event["requestReceivedTimestamp"],
        user_agent=event.get("userAgent", ""),
        allowed=annotations.get("authorization.k8s.io/decision") != "forbid",
        binding=allowed_by[1] if allowed_by else "",
    )


class AuditLog:
    """The audit log of one control plane.

    ``mark()`` and ``since(mark)`` select the requests of a stretch of a test. A request is in the log once it has
    ended, so a watch that goes on is not.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def mark(self) -> int:
        """The position of the log's end now."""
        return self.file.stat().st_size if self.file.exists() else 0

    def since(
        self,
        mark: int = 0,
        matching: Callable[[AuditedRequest], bool] | None = None,
        containing: str = "",
        **equal: str | int,
    ) -> list[AuditedRequest]:
        """The requests logged after ``mark``, in the order they ended.

        Args:
            mark: what ``mark()`` returned; 0 means from the start.
            matching: keep only requests for which this holds.
            containing: look only at lines with this text, which spares the time to decode the others.
            **equal: keep only requests whose fields equal these, e.g. ``verb="update", resource="drplans"``.
        """
        if not self.file.exists():
            return []
        with self.file.open("rb") as handle:
            handle.seek(mark)
            lines = handle.read().split(b"\n")
        text = containing.encode()
        requests = [_parse(line) for line in lines[:-1] if line and text in line]
        return [
            request
            for request in requests
            if all(getattr(request, field) == value for field, value in equal.items())
            and (matching is None or matching(request))
        ]
