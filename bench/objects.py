"""Manifests of the benchmark, and the paths they go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.models.base import API_VERSION

Json = dict[str, Any]


def collection(kind: str, namespace: str) -> str:
    """The path of a kind's objects in a namespace."""
    base = "/api/v1" if kind == "ConfigMap" else f"/apis/{API_VERSION}"
    return f"{base}/namespaces/{namespace}/{kind.lower()}s"


def http_action(name: str, url: str, **more: object) -> Json:
    """An HTTP action."""
    return {"name": name, "type": "HTTP", "http": {"method": "POST", "url": url}, **more}


def undone_by_http(name: str, url: str, undo_url: str) -> Json:
    """An HTTP action that an HTTP call takes back."""
    rollback = {"type": "HTTP", "http": {"url": undo_url, "method": "POST"}}
    return http_action(name, url, rollback=rollback)


def config_map_action(name: str, config_map: str, namespace: str) -> Json:
    """An action that creates a ConfigMap."""
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {config_map}, namespace: {namespace}}}\n"
    return {"name": name, "type": "KubernetesResource", "resource": {"manifest": manifest}}


def job_action(name: str, namespace: str) -> Json:
    """An action that runs a Job."""
    container = {"name": "work", "image": "bench.invalid/work:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"name": name, "type": "Job", "job": {"namespace": namespace, "template": {"spec": {"template": template}}}}


def workflow(name: str, actions: Sequence[Json], parameters: Sequence[str] = ()) -> Json:
    """A workflow."""
    needed = [{"name": parameter, "required": True} for parameter in parameters]
    return _object("DRWorkflow", name, {"actions": list(actions), **({"parameters": needed} if needed else {})})


def plan(name: str, stages: Sequence[Sequence[Json]]) -> Json:
    """A plan; a stage is what it uses, one after another."""
    made = [{"name": f"s{number:03}", "workflows": list(uses)} for number, uses in enumerate(stages)]
    return _object("DRPlan", name, {"stages": made})


def use(workflow_name: str, **params: str) -> Json:
    """A workflow with the parameters it gets in a stage."""
    given = [{"name": name, "value": value} for name, value in params.items()]
    return {"workflowRef": {"name": workflow_name}, **({"params": given} if given else {})}


def execution(name: str, plan_name: str) -> Json:
    """An execution that runs a plan."""
    return _object("DRPlanExecution", name, {"planRef": plan_name, "operationType": "Execute"})


def revert(name: str, plan_name: str, target: str) -> Json:
    """An execution that takes another one back."""
    spec = {"planRef": plan_name, "operationType": "Revert", "revertExecutionRef": target}
    return _object("DRPlanExecution", name, spec)


def _object(kind: str, name: str, spec: Mapping[str, object]) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
