"""What hostile objects are made of (see `tests.security.corpus`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

BYTES = 1_100_000
"""About how large an entry is: what the API server takes with some room for managedFields."""


def workflow_of(*actions: Json, **spec: Any) -> Json:
    """A workflow of these actions."""
    return stored_object("DRWorkflow", "w", {"actions": list(actions), **spec})


def plan_of(*stages: Json, **spec: Any) -> Json:
    """A plan of these stages."""
    return stored_object("DRPlan", "p", {"stages": list(stages), **spec})


def http(name: str, **members: Any) -> Json:
    """An HTTP action."""
    return {"name": name, "type": "HTTP", "http": {"url": "http://x.invalid/"}, **members}


def resource(name: str, manifest: str) -> Json:
    """An action that makes what a manifest says."""
    return {"name": name, "type": "KubernetesResource", "resource": {"manifest": manifest}}


def stage(name: str, *workflows: str, **members: Any) -> Json:
    """A stage of these workflows."""
    return {"name": name, "workflows": [{"workflowRef": {"name": each}} for each in workflows or ("w",)], **members}


def stored_object(kind: str, name: str, spec: Json) -> Json:
    """An object of one of our kinds."""
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "dr.bkbcs.tencent.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def filled(one: Callable[[int], Any], most: int = BYTES) -> list[Any]:
    """As many of something as fit into an object."""
    count = max(2, most // (len(json.dumps(one(99_999))) + 1))
    return [one(number) for number in range(count)]


def cel(expression: str) -> Json:
    """A workflow of many actions on one condition."""
    return workflow_of(http("a"), *[http(f"b{n}", when=expression) for n in range(100)])


def reads(json_path: str, **members: str) -> Json:
    """A workflow whose parameters are read from an object."""
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "c", "jsonPath": json_path}
    source = {"valueFrom": {"manifestRef": {**reference, **members}}}
    return workflow_of(http("a"), parameters=[{"name": f"p{n}", **source} for n in range(100)])
