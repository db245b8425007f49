"""Small valid objects of the three kinds, to be spoiled by tests."""

from __future__ import annotations

from typing import Any

from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow

Json = dict[str, Any]


def http(name: str = "a", **members: Any) -> Json:
    return {"name": name, "type": "HTTP", "http": {"url": "http://x.invalid/"}, **members}


def job(name: str = "j", **members: Any) -> Json:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    return {"name": name, "type": "Job", "job": {"template": {"spec": {"template": {"spec": pod}}}}, **members}


def resource(manifest: str, operation: str | None = None, name: str = "r", **members: Any) -> Json:
    block = {"manifest": manifest, **({"operation": operation} if operation else {})}
    return {"name": name, "type": "KubernetesResource", "resource": block, **members}


def typed(type_: str, member: str, block: Json | None, name: str = "a", **members: Any) -> Json:
    return {"name": name, "type": type_, **({member: block} if block is not None else {}), **members}


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"
FEED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "n"}
SUBSCRIPTION_SPEC = {"feeds": [FEED], "subscribers": [{"clusterAffinity": {}}]}
CHART_SPEC = {"repo": "https://charts.invalid/", "chart": "c", "targetNamespace": "n"}


def workflow_json(*actions: Json, name: str = "w", namespace: str = "default", **spec: Any) -> Json:
    return {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRWorkflow",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"actions": list(actions) or [http()], **spec},
    }


def workflow(*actions: Json, **spec: Any) -> DRWorkflow:
    return DRWorkflow.from_wire(workflow_json(*actions, **spec))


def stage(name: str = "s", *workflows: str | Json, **members: Any) -> Json:
    uses = [{"workflowRef": {"name": use}} if isinstance(use, str) else use for use in workflows or ("w",)]
    return {"name": name, "workflows": uses, **members}


def plan_json(*stages: Json, name: str = "p", namespace: str = "default", **spec: Any) -> Json:
    return {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRPlan",
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"stages": list(stages) or [stage()], **spec},
    }


def plan(*stages: Json, **spec: Any) -> DRPlan:
    return DRPlan.from_wire(plan_json(*stages, **spec))


def execution_json(
    name: str = "e", namespace: str = "default", status: Json | None = None, uid: str = "", **spec: Any
) -> Json:
    return {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRPlanExecution",
        "metadata": {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}"},
        "spec": {"planRef": "p", "operationType": "Execute", **spec},
        **({"status": status} if status is not None else {}),
    }


def execution(name: str = "e", status: Json | None = None, **spec: Any) -> DRPlanExecution:
    return DRPlanExecution.from_wire(execution_json(name, status=status, **spec))
