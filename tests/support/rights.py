"""What the rights of the two processes were used for, and what was refused to them, by the API server's audit log.

A right that no test uses is one too many, or lacks a test. A refusal that nobody meant is a right too few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from devcluster.audit import AuditedRequest, AuditLog
from devcluster.identities import NAMESPACE
from tests.support.cluster import REPOSITORY

RBAC = REPOSITORY / "devcluster" / "manifests" / "rbac.yaml"
"""The rights that every control plane of the tests has; tests/chart compares them with the chart's."""
OURS = f"system:serviceaccount:{NAMESPACE}:drplan-"
"""What the usernames of both processes begin with."""
AGENT = "drplan/"
"""What the product's own requests begin their User-Agent with; tests may borrow the tokens for kubectl."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One verb on one resource for one process."""

    process: str
    """`controller` or `webhook`."""
    verb: str
    group: str
    resource: str
    """With its subresource, e.g. `drplans/status`."""
    namespace: str = ""
    """Empty: everywhere."""
    names: tuple[str, ...] = ()
    """Empty: any name."""

    def covers(self, request: AuditedRequest) -> bool:
        """Whether this is a right that the request uses; in its own namespace, a process uses the Role there."""
        return (
            (self.process, self.verb, self.group, self.resource)
            == (request.user.removeprefix(OURS), request.verb, request.group, resource_of(request))
            and (self.namespace == request.namespace or (not self.namespace and request.namespace != NAMESPACE))
            and (not self.names or request.name in self.names)
        )

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        which = f" named {', '.join(self.names)}" if self.names else ""
        return f"{self.process}: {self.verb} {self.resource}{f'.{self.group}' if self.group else ''}{which}{where}"


def resource_of(request: AuditedRequest) -> str:
    """Resource and subresource of a request as a role names them."""
    return f"{request.resource}/{request.subresource}" if request.subresource else request.resource


@dataclass(frozen=True, slots=True)
class Meant:
    """Refusals that a test causes on purpose."""

    process: str
    group: str
    resource: str
    reason: str

    def explains(self, request: AuditedRequest) -> bool:
        """Whether the refusal of this request was meant."""
        found = (request.user.removeprefix(OURS), request.group, resource_of(request))
        return found == (self.process, self.group, self.resource)


MEANT: tuple[Meant, ...] = (
    Meant("controller", "", "secrets", "actions that make Secrets without rbac.extraRules fail (tests/e2e)"),
)
"""Every refusal that is meant, and why."""


def granted(documents: Iterable[dict[str, Any]]) -> list[Grant]:
    """The rights among Roles, ClusterRoles and bindings, those of an admin's choice (extraRules) left out."""
    objects = [item for item in documents if item and "drplan-dev-" not in item["metadata"]["name"]]
    return sorted({grant for item in objects if "rules" in item for grant in _grants_of(item)})


def _grants_of(role: dict[str, Any]) -> Iterator[Grant]:
    process = role["metadata"]["name"].removeprefix("drplan-")
    namespace = role["metadata"].get("namespace", "")
    for rule in role["rules"]:
        names = tuple(rule.get("resourceNames", ()))
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Grant(process, verb, group, resource, namespace, names)


def product_grants() -> list[Grant]:
    """The rights with which the processes of all tests run."""
    return granted(yaml.safe_load_all(RBAC.read_text()))


@dataclass(slots=True)
class Ledger:
    """What was used and what was refused, of one control plane or of several."""

    used: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    """Refusals that were not meant, one line each."""

    @classmethod
    def of(cls, audit: AuditLog, grants: Iterable[Grant]) -> Self:
        """What an audit log tells."""
        grants = tuple(grants)
        ledger = cls()
        seen: dict[tuple[object, ...], AuditedRequest] = {}
        for request in audit.since(containing=OURS):
            if request.user.startswith(OURS) and request.user_agent.startswith(AGENT) and request.resource:
                key = (request.user, request.verb, request.group, resource_of(request), request.namespace, request.name)
                seen.setdefault((*key, request.allowed), request)
        for request in seen.values():
            if request.allowed:
                ledger.used.update(str(grant) for grant in grants if grant.covers(request))
            elif not any(meant.explains(request) for meant in MEANT):
                ledger.refused.add(_line(request))
        return ledger

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The sum of all ledgers that were written into a folder."""
        ledger = cls()
        for file in folder.glob("*.yaml"):
            found = yaml.safe_load(file.read_text())
            ledger.used.update(found["used"])
            ledger.refused.update(found["refused"])
        return ledger

    def write(self, file: Path) -> None:
        """Write it down for `read`."""
        file.write_text(yaml.safe_dump({"used": sorted(self.used), "refused": sorted(self.refused)}))

    def unused(self, grants: Iterable[Grant]) -> list[str]:
        """The rights that nothing used."""
        return [str(grant) for grant in grants if str(grant) not in self.used]


def _line(request: AuditedRequest) -> str:
    process = request.user.removeprefix(OURS)
    resource = f"{resource_of(request)}{f'.{request.group}' if request.group else ''}"
    return f"{process}: {request.verb} {resource} {request.namespace}/{request.name} ({request.user_agent})"
