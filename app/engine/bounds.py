"""What actions, rollbacks and references of parameters may never touch (decision A10): a closed list.

The first part of it is drplan's own: the controller has more rights there than those who write workflows, and whoever
could change it would forge runs or stop them. The second is what a cluster is governed by: no failover needs it, and
with it anybody's requests could be refused, answered or signed. Roles and bindings belong to it although the API server
lets nobody grant more than he has: the controller has enough. A binding of its own role to an author would give him by
hand all that this list and the controller's namespace are closed for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.models.base import GROUP


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A group of the API, or some resources of it, that nobody's action may touch."""

    group: str
    what: str
    """What it is, as refusals and the documentation call it."""
    resources: tuple[tuple[str, str], ...] = ()
    """Resource and kind of each; none: the whole group."""

    def covers(self, group: str, *, plural: str = "", kind: str = "") -> bool:
        """Tell whether a resource, given by either of its names, is meant."""
        if group != self.group:
            return False
        return not self.resources or any(plural == each or kind == its for each, its in self.resources)


FORBIDDEN: Final = (
    Forbidden(GROUP, "drplan's own kinds"),
    Forbidden("", "Events", (("events", "Event"),)),
    Forbidden("events.k8s.io", "Events"),
    Forbidden("coordination.k8s.io", "Leases"),
    Forbidden("admissionregistration.k8s.io", "admission webhooks and policies"),
    Forbidden("authentication.k8s.io", "reviews of tokens"),
    Forbidden("authorization.k8s.io", "reviews of rights"),
    Forbidden("rbac.authorization.k8s.io", "roles and their bindings"),
    Forbidden("certificates.k8s.io", "requests of certificates"),
    Forbidden("apiregistration.k8s.io", "registrations of API services"),
    Forbidden("flowcontrol.apiserver.k8s.io", "the API server's flow control"),
    Forbidden("internal.apiserver.k8s.io", "the API server's own records"),
    Forbidden("", "bindings of Pods to nodes", (("bindings", "Binding"),)),
)
"""The closed list. `CustomResourceDefinitions` of drplan's own kinds and the controller's namespace go with it."""

_CRDS: Final = ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition")
_CREDENTIALS: Final = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
_SEE: Final = "actions, rollbacks and parameters may not touch it (docs/security.md has the list)"


def kind_refusal(group: str, *, plural: str = "", kind: str = "", name: str = "") -> str:
    """Why no action may touch a resource, given by its plural or its kind; empty when one may.

    `name` is the object's; of definitions those of drplan's own kinds alone are out of bounds.
    """
    found = next((each for each in FORBIDDEN if each.covers(group, plural=plural, kind=kind)), None)
    if found is not None:
        where = f"API group {group}" if group else "the core API"
        return f"this belongs to {found.what} ({where}); {_SEE}"
    if group == _CRDS[0] and (plural == _CRDS[1] or kind == _CRDS[2]) and name.endswith(f".{GROUP}"):
        return f"this defines one of drplan's own kinds; {_SEE}"
    return ""


def content_refusal(group: str, kind: str, type_: object) -> str:
    """Why no action may write an object of this `type`: Secrets that the cluster turns into credentials."""
    if has_refused_content(group, kind) and type_ in _CREDENTIALS:
        return f"a Secret of type {type_} is a login of the cluster; {_SEE}"
    return ""


def has_refused_content(group: str, kind: str) -> bool:
    """Tell whether it depends on an object's type, too, if an action may write it."""
    return group == "" and kind == "Secret"


def namespace_refusal(own: str, namespace: str, *, group: str = "", kind: str = "", name: str = "") -> str:
    """Why no action may touch what is in `namespace`, or a cluster-scoped object: `own` is the controller's namespace.

    Empty when one may. The Namespace object itself counts as in it.
    """
    itself = group == "" and kind == "Namespace" and name == own
    if not own or (namespace != own and not itself):
        return ""
    return (
        f"namespace {own} is the controller's own, actions may not write to it, nor they or parameters read it; "
        "use another namespace"
    )
