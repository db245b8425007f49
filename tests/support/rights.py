"""What the rights of the two processes were used for, and what was refused to them, by the API server's audit log.

A right that no test uses is one too many, or lacks a test. A refusal that nobody meant is a right too few; so is a
request that only the development rights allowed (`drplan-dev-targets`, which no installation has), unless it is what an
action does to its target. A test that needs more grants it by a binding of its own, as an administrator would.
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
PROCESSES = (f"{OURS}controller", f"{OURS}webhook")
"""Whose requests count; `helm test` has an account, and rights, of its own."""
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

    def permits(self, request: AuditedRequest) -> bool:
        """Whether the API server lets the request through for this right."""
        return (
            (self.process, self.verb, self.group, self.resource)
            == (request.user.removeprefix(OURS), request.verb, request.group, resource_of(request))
            and self.namespace in ("", request.namespace)
            and (not self.names or request.name in self.names)
        )

    def covers(self, request: AuditedRequest) -> bool:
        """Whether this is a right that the request uses; in its own namespace, a process uses the Role there."""
        return self.permits(request) and (bool(self.namespace) or request.namespace != NAMESPACE)

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        which = f" named {', '.join(self.names)}" if self.names else ""
        return f"{self.process}: {self.verb} {self.resource}{f'.{self.group}' if self.group else ''}{which}{where}"


def resource_of(request: AuditedRequest) -> str:
    """Resource and subresource of a request as a role names them."""
    return f"{request.resource}/{request.subresource}" if request.subresource else request.resource


@dataclass(frozen=True, slots=True)
class Meant:
    """Requests outside the product's rights that a test causes on purpose, never in the processes' own namespace."""

    process: str
    verbs: tuple[str, ...]
    group: str
    resource: str
    reason: str

    def explains(self, request: AuditedRequest) -> bool:
        """Whether this request was meant."""
        found = (request.user.removeprefix(OURS), request.group, resource_of(request))
        return (
            found == (self.process, self.group, self.resource)
            and request.verb in self.verbs
            and request.namespace != NAMESPACE
        )


MEANT: tuple[Meant, ...] = (
    Meant(
        "controller", ("create",), "", "secrets", "actions that make Secrets without rbac.extraRules fail (tests/e2e)"
    ),
)
"""Every refusal that is meant, and why."""

_ACTIONS = ("get", "create", "patch", "delete")
"""What KubernetesResource actions and their rollback do to one object."""
_WAITING = (*_ACTIONS, "list", "watch")
"""The same with `waitReady`, which lists and watches one object by its name."""
_CHOICE = "targets of actions and parameters in tests; an admin grants them by rbac.extraRules"

TARGETS: tuple[Meant, ...] = (
    Meant("controller", _WAITING, "", "configmaps", _CHOICE),
    Meant("controller", _WAITING, "", "services", _CHOICE),
    Meant("controller", _WAITING, "", "persistentvolumeclaims", _CHOICE),
    Meant("controller", _ACTIONS, "", "namespaces", _CHOICE),
    Meant("controller", _WAITING, "apps", "deployments", _CHOICE),
    Meant("controller", _WAITING, "apps", "statefulsets", _CHOICE),
    Meant("controller", _WAITING, "apps", "daemonsets", _CHOICE),
)
"""Every use of the development rights that is meant, and why."""


def granted_by_test(request: AuditedRequest) -> bool:
    """Whether a binding that a test has made allowed the request: ours, and Kubernetes' own, have fixed prefixes."""
    return bool(request.binding) and not request.binding.startswith(("drplan-", "system:"))


def is_target(request: AuditedRequest) -> bool:
    """Whether a request is about one object that an action or a parameter of a test names."""
    return bool(request.name or request.verb == "create") and any(meant.explains(request) for meant in TARGETS)


def is_meant(request: AuditedRequest) -> bool:
    """Whether a test caused the request on purpose, by the development rights or by a right it has granted."""
    return is_target(request) or granted_by_test(request)


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
    ungranted: set[str] = field(default_factory=set)
    """Requests that no right of the product allows, but those of development did, one line each."""

    @classmethod
    def of(cls, audit: AuditLog, grants: Iterable[Grant]) -> Self:
        """What an audit log tells."""
        grants = tuple(grants)
        ledger = cls()
        seen: dict[tuple[object, ...], AuditedRequest] = {}
        for request in audit.since(containing=OURS):
            if request.user in PROCESSES and request.user_agent.startswith(AGENT) and request.resource:
                key = (request.user, request.verb, request.group, resource_of(request), request.namespace, request.name)
                seen.setdefault((*key, request.allowed), request)
        for request in seen.values():
            is_granted = any(grant.permits(request) for grant in grants)
            if request.allowed:
                ledger.used.update(str(grant) for grant in grants if grant.covers(request))
                if not (is_granted or is_meant(request)):
                    ledger.ungranted.add(_line(request))
            elif not (is_granted or any(meant.explains(request) for meant in MEANT)):
                # what is granted is refused by an API server that has just begun and does not know its roles yet
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
            ledger.ungranted.update(found["ungranted"])
        return ledger

    def write(self, file: Path) -> None:
        """Write it down for `read`."""
        found = {"used": self.used, "refused": self.refused, "ungranted": self.ungranted}
        file.write_text(yaml.safe_dump({name: sorted(lines) for name, lines in found.items()}))

    def unused(self, grants: Iterable[Grant]) -> list[str]:
        """The rights that nothing used."""
        return [str(grant) for grant in grants if str(grant) not in self.used]


def _line(request: AuditedRequest) -> str:
    process = request.user.removeprefix(OURS)
    resource = f"{resource_of(request)}{f'.{request.group}' if request.group else ''}"
    return f"{process}: {request.verb} {resource} {request.namespace}/{request.name} ({request.user_agent})"
