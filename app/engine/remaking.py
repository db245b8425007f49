"""Making an object again that was deleted: what of its recorded state is its own, and what was the API server's (pure).

Labels, annotations and finalizers are kept, and so is everything below `spec`, a Service's addresses included. What
tells one life of an object from the next is not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from app.engine.vanishing import may_vanish

JsonObject = dict[str, Any]

_KEPT: Final = ("name", "namespace", "labels", "annotations", "finalizers", "ownerReferences")
_OF_DELETION: Final = frozenset({"foregroundDeletion", "orphan"})
"""Finalizers that only say how the object was to be deleted."""
_OF_BINDING: Final = frozenset({"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"})
"""Annotations by which a claim without its volume would count as lost; without them it waits for the volume."""
_ALLOCATED: Final = ("clusterIP", "clusterIPs", "healthCheckNodePort")


def does_work_again(group: str, kind: str, obj: Mapping[str, Any]) -> bool:
    """Tell whether to make the object again is to do its work a second time."""
    return (group, kind) == ("batch", "Job") or may_vanish(group, kind, obj)


def as_new(obj: Mapping[str, Any]) -> JsonObject:
    """Return a recorded object as it is created again."""
    then = obj.get("metadata") or {}
    metadata = {key: copy.deepcopy(then[key]) for key in _KEPT if then.get(key)}
    finalizers = [each for each in metadata.pop("finalizers", ()) if each not in _OF_DELETION]
    if finalizers:
        metadata["finalizers"] = finalizers
    new = {**copy.deepcopy({key: value for key, value in obj.items() if key != "status"}), "metadata": metadata}
    if obj.get("kind") == "PersistentVolumeClaim" and "annotations" in metadata:
        annotations = metadata["annotations"]
        metadata["annotations"] = {key: value for key, value in annotations.items() if key not in _OF_BINDING}
    if obj.get("kind") == "Pod" and isinstance(new.get("spec"), dict):
        new["spec"].pop("nodeName", None)
    return new


def with_new_addresses(obj: Mapping[str, Any]) -> JsonObject | None:
    """Return a Service without the addresses that it was given, for when others have them now; None for other kinds."""
    spec = obj.get("spec")
    if (obj.get("apiVersion"), obj.get("kind")) != ("v1", "Service") or not isinstance(spec, dict):
        return None
    headless = spec.get("clusterIP") == "None"
    kept = {key: value for key, value in spec.items() if key not in _ALLOCATED or headless}
    ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec.get("ports") or ()]
    return {**obj, "spec": {**kept, "ports": ports} if ports else kept}
