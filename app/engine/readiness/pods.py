"""The pods of a workload that should be gone: a workload scaled to zero is drained once none of them is left.

The status of a workload forgets a pod as soon as it is being deleted, but the pod goes on working for as long as its
grace period lasts. Two writers at once are what a failover must not bring about, so those pods are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.engine.readiness.verdict import Object, number, spec_of, status_of
from app.models.stored import items, members

_WITH_PODS = {
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "ReplicationController"),
    ("argoproj.io", "Rollout"),
    ("apps.kruise.io", "CloneSet"),
    ("apps.kruise.io", "StatefulSet"),
    ("apps.kruise.io", "DaemonSet"),
    ("apps.openshift.io", "DeploymentConfig"),
}
_PLAIN_SELECTOR = ("ReplicationController", "DeploymentConfig")
"""Kinds whose selector is labels alone."""
_OWNERS: Mapping[str, str] = {
    "Deployment": "ReplicaSet",
    "Rollout": "ReplicaSet",
    "DeploymentConfig": "ReplicationController",
}
"""Kinds that have their pods by way of another kind."""
_HASHES = ("pod-template-hash", "rollouts-pod-template-hash", "deployment")
"""Labels that every pod has which was made for a kind of `_OWNERS`, even when nothing owns it any more."""
_ENDED = ("Succeeded", "Failed")
_MOST_NAMED = 3


def pod_selector(workload: Object) -> str:
    """Return the label selector of a workload's pods; empty for any other kind, and where it selects nothing."""
    group = str(workload.get("apiVersion", "")).rpartition("/")[0]
    if (group, str(workload.get("kind", ""))) not in _WITH_PODS:
        return ""
    selector = members(spec_of(workload).get("selector"))
    labels = selector if workload.get("kind") in _PLAIN_SELECTOR else members(selector.get("matchLabels"))
    requirements = [f"{key}={value}" for key, value in sorted(labels.items())]
    for expression in items(selector.get("matchExpressions")):
        requirements += _requirement(members(expression))
    return ",".join(requirements)


def _requirement(expression: Mapping[str, Any]) -> list[str]:
    key, operator = str(expression.get("key", "")), expression.get("operator")
    values = ",".join(str(value) for value in items(expression.get("values")))
    match operator:
        case "In":
            return [f"{key} in ({values})"]
        case "NotIn":
            return [f"{key} notin ({values})"]
        case "Exists":
            return [key]
        case "DoesNotExist":
            return [f"!{key}"]
        case _:
            return []


def lingering_pods(workload: Object, pods: Iterable[Object]) -> str:
    """Say which of the workload's `pods` should be gone and are not; empty when none is left.

    A pod should be gone when it is being deleted, and also when the workload wants none at all. Pods of others, such
    as those of a Job with the same labels, are not looked at.
    """
    wanted = _wanted(workload)
    lingering = [pod for pod in pods if _may_belong(pod, workload) and _is_left(pod, wanted=wanted)]
    if not lingering:
        return ""
    names = sorted(str(members(pod.get("metadata")).get("name", "")) for pod in lingering)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    plural = "pods are" if len(names) > 1 else "pod is"
    return f"{len(names)} {plural} still terminating: {', '.join(names[:_MOST_NAMED])}{more}"


def _may_belong(pod: Object, workload: Object) -> bool:
    """Tell whether a pod that is selected may be the workload's: in doubt it is, since it may still be working."""
    metadata, kind = members(pod.get("metadata")), str(workload.get("kind"))
    owners = [members(owner) for owner in items(metadata.get("ownerReferences"))]
    owner = next((owner for owner in owners if owner.get("controller") is True), None)
    between = _OWNERS.get(kind)
    if owner is None:
        return between is None or any(label in _HASHES for label in members(metadata.get("labels")))
    if between is not None:
        return owner.get("kind") == between
    uid = members(workload.get("metadata")).get("uid")
    return not uid or not owner.get("uid") or owner["uid"] == uid


def _wanted(workload: Object) -> int:
    if workload.get("kind") == "DaemonSet":
        return number(status_of(workload), "desiredNumberScheduled")
    return number(spec_of(workload), "replicas", 1)


def _is_left(pod: Object, *, wanted: int) -> bool:
    if members(pod.get("metadata")).get("deletionTimestamp"):
        return True
    return wanted == 0 and status_of(pod).get("phase") not in _ENDED
