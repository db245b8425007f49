"""Rights of the users that are added to a control plane."""

from collections.abc import Sequence
from typing import Any

from devcluster.api import Api, Object, wait_for

RBAC = "/apis/rbac.authorization.k8s.io/v1"
AGGREGATED = ("view", "edit", "admin")
"""ClusterRoles that are the sum of others, each including the one before it."""
EFFECTIVE_SECONDS = 20.0
"""How long the API server may take to act on a new binding."""


def aggregate(api: Api) -> None:
    """Fill the aggregated ClusterRoles once, as kube-controller-manager would; the minimal profile has none."""
    for name in AGGREGATED:
        parts = api.get(f"{RBAC}/clusterroles?labelSelector=rbac.authorization.k8s.io/aggregate-to-{name}=true")
        rules = [rule for part in parts["items"] for rule in part.get("rules") or []]
        api.request("PATCH", f"{RBAC}/clusterroles/{name}", {"rules": rules}, "application/merge-patch+json")


def bind(api: Api, user: str, role: str, namespace: str | None = None) -> None:
    """Give a user a ClusterRole, everywhere or in one namespace, and return when it holds.

    Raises:
        RequestError: there is no such ClusterRole.
        TimeoutError: the API server did not act on it in time.
    """
    rules = api.get(f"{RBAC}/clusterroles/{role}").get("rules") or []
    api.apply(_binding(user, role, namespace))
    _wait(api, user, rules, namespace, f"ClusterRole {role}")


def wait_until_effective(api: Api, documents: Sequence[Object]) -> None:
    """Return when the API server acts on the bindings of ServiceAccounts to roles among these objects.

    Raises:
        TimeoutError: the API server did not act on one in time.
    """
    rules = {_name_of(item): item["rules"] for item in documents if item["kind"] in ("Role", "ClusterRole")}
    for binding in documents:
        if not binding["kind"].endswith("Binding"):
            continue
        namespace = binding["metadata"].get("namespace")
        reference = binding["roleRef"]
        role = (reference["kind"], namespace if reference["kind"] == "Role" else None, reference["name"])
        for subject in binding["subjects"]:
            user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
            _wait(api, user, rules[role], namespace, f"{reference['kind']} {reference['name']}")


def _name_of(item: Object) -> tuple[str, str | None, str]:
    return item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]


def _wait(api: Api, user: str, rules: Sequence[dict[str, Any]], namespace: str | None, role: str) -> None:
    checks = [rule for rule in rules if rule.get("resources") and not rule.get("resourceNames")]
    if checks:
        review = _review(user, checks[0], namespace)
        wait_for(lambda: _allowed(api, review), EFFECTIVE_SECONDS, f"{role} to hold for {user}")


def _allowed(api: Api, review: Object) -> bool:
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return answer["status"]["allowed"] is True


def _review(user: str, rule: dict[str, Any], namespace: str | None) -> Object:
    resource, _, subresource = rule["resources"][0].partition("/")
    attributes = {
        "group": rule["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "verb": rule["verbs"][0],
        "namespace": namespace or "",
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }


def _binding(user: str, role: str, namespace: str | None) -> Object:
    metadata = {"name": f"{user}-{role}".replace(":", "-")}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding" if namespace is None else "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
