"""The roles of the chart on the control plane of tests: by default, and what an admin adds for one namespace."""

from __future__ import annotations

from typing import Any

import yaml

from devcluster.api import Api
from devcluster.identities import NAMESPACE
from devcluster.rights import RBAC, wait_until_effective
from tests.chart.support import render
from tests.support.rights import RBAC as TESTED

Json = dict[str, Any]
ACCOUNTS = ("drplan-controller", "drplan-webhook")
ROLES = {(kind, name) for kind in ("ClusterRoleBinding", "RoleBinding") for name in ACCOUNTS}
"""The bindings that give the two accounts anything, by default."""


def rendered_roles(*values: str) -> list[Json]:
    """The roles and bindings that the chart makes of these values."""
    made = [item for item in render(*values) if item["apiVersion"].startswith("rbac.authorization.k8s.io/")]
    assert {(item["kind"], item["metadata"]["name"]) for item in made} >= ROLES
    return made


def apply_tested(api: Api) -> None:
    """Give both processes the rights that all other tests have."""
    for item in filter(None, yaml.safe_load_all(TESTED.read_text())):
        api.apply(item)


def accounts_of(api: Api) -> set[tuple[str, str]]:
    """The bindings that name one of the two accounts; those of single namespaces of tests are left out."""
    found: set[tuple[str, str]] = set()
    for kind, path in (
        ("ClusterRoleBinding", "clusterrolebindings"),
        ("RoleBinding", f"namespaces/{NAMESPACE}/rolebindings"),
    ):
        for item in api.get(f"{RBAC}/{path}")["items"]:
            if any(each["name"] in ACCOUNTS for each in item.get("subjects") or ()):
                found.add((kind, item["metadata"]["name"]))
    return found


def read_references_in(api: Api, *namespaces: str) -> None:
    """What `rbac.readReferencesIn` gives the controller, which an admin has to name."""
    listed = ",".join(namespaces)
    made = [
        item
        for item in rendered_roles(f"rbac.readReferencesIn={{{listed}}}")
        if item["metadata"].get("namespace") in namespaces
    ]
    assert len(made) == 2 * len(namespaces)
    for item in made:
        api.apply(item)
    wait_until_effective(api, made)


def may_touch(api: Api, namespace: str, resource: str = "configmaps", group: str = "") -> None:
    """Bind a Role for targets to the controller in one namespace, as docs/security.md says."""
    version, name = "rbac.authorization.k8s.io/v1", f"drplan-targets-{resource}"
    rule = {
        "apiGroups": [group],
        "resources": [resource],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    }
    meta = {"name": name, "namespace": namespace}
    role = {"apiVersion": version, "kind": "Role", "metadata": meta, "rules": [rule]}
    subject = {"kind": "ServiceAccount", "name": "drplan-controller", "namespace": NAMESPACE}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    binding = {"apiVersion": version, "kind": "RoleBinding", "metadata": meta, "roleRef": ref, "subjects": [subject]}
    for item in (role, binding):
        api.apply(item)
    wait_until_effective(api, [role, binding])
