"""The reviews of the admission benchmark, as an API server sends them: complete objects, no two the same."""

from __future__ import annotations

import json
from typing import Any

from app.models.base import API_VERSION, GROUP, VERSION

Json = dict[str, Any]

NAMESPACE = "bench-admission"
STAGES, WORKFLOWS_EACH = 12, 3
VARIANTS = 48
"""Different bodies a case, taken in turn: so few that the service remembers the texts in them."""

NEW_VARIANTS = 1200
"""Different bodies of a case of new content: so many that the service has forgotten each when its turn comes again."""

_RETRY = {"limit": 3, "interval": "5s", "backoffMultiplier": "2.0"}
_MANIFEST = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}-$(params.site)
  namespace: $(params.namespace)
  labels: {{app: web, tier: backend}}
data:
  switch.conf: |
    primary = $(params.site)
    written-by = $(executionName)
  mode: "$(mode)"
"""


def workflow(name: str, actions: int, namespace: str = "web") -> Json:
    """A workflow whose actions are, in turn, an HTTP call, a ConfigMap, a Job and a Subscription."""
    makers = (_http, _config_map, _job, _subscription)
    spec = {
        "failurePolicy": "FailFast",
        "parameters": [
            {"name": "site", "type": "string", "required": True},
            {"name": "namespace", "type": "string", "default": namespace},
        ],
        "actions": [makers[n % len(makers)](f"{name}-{n}") for n in range(actions)],
    }
    return _object("DRWorkflow", name, spec)


def plan(name: str, workflows: list[str], description: str = "") -> Json:
    """A plan of 12 stages with 3 workflows each, every stage after the one before."""
    stages: list[Json] = []
    for n in range(STAGES):
        used = (workflows[(n * WORKFLOWS_EACH + i) % len(workflows)] for i in range(WORKFLOWS_EACH))
        stages.append(
            {
                "name": f"stage-{n}",
                "description": f"step {n} of the failover",
                "parallel": True,
                "dependsOn": [f"stage-{n - 1}"] if n else [],
                "workflows": [
                    {
                        "workflowRef": {"name": each, "namespace": NAMESPACE},
                        "params": [{"name": "namespace", "value": f"ns-{n}"}],
                    }
                    for each in used
                ],
            }
        )
    spec = {
        "description": description,
        "failurePolicy": "Stop",
        "globalParams": [{"name": "site", "value": "west"}],
        "stages": stages,
    }
    return _object("DRPlan", name, spec)


def workflow_reviews(actions: int, variants: int = VARIANTS) -> list[bytes]:
    """Reviews of the creation of a workflow."""
    return [_review("CREATE", workflow(f"w{n}", actions, f"web-{n}")) for n in range(variants)]


def workflow_updates(actions: int) -> list[bytes]:
    """Reviews of a change of a workflow's parameters, with the stored workflow beside the new one."""
    pairs = [(workflow(f"w{n}", actions, "new"), workflow(f"w{n}", actions, "old")) for n in range(VARIANTS)]
    return [_review("UPDATE", new, old) for new, old in pairs]


def plan_reviews(workflows: list[str]) -> list[bytes]:
    """Reviews of the creation of a plan that uses stored workflows."""
    return [_review("CREATE", plan(f"p{n}", workflows, f"variant {n}")) for n in range(VARIANTS)]


def _http(name: str) -> Json:
    block = {
        "url": f"https://dns.$(params.site).example.com/v1/records/{name}",
        "method": "POST",
        "headers": {"Content-Type": "application/json", "X-Run": "$(executionName)"},
        "body": f'{{"record": "{name}", "target": "$(params.site)"}}',
        "successCodes": [200, 202],
    }
    return {"name": name, "type": "HTTP", "timeout": "30s", "retryPolicy": _RETRY, "http": block}


def _config_map(name: str) -> Json:
    block = {"operation": "Apply", "manifest": _MANIFEST.format(name=name)}
    return {"name": name, "type": "KubernetesResource", "timeout": "5m", "retryPolicy": _RETRY, "resource": block}


def _job(name: str) -> Json:
    container = {
        "name": "restore",
        "image": "registry.example.com/tools/restore:1.4",
        "command": ["restore", "--site", "$(params.site)"],
        "env": [{"name": "NAMESPACE", "value": "$(params.namespace)"}],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
    }
    pod = {"restartPolicy": "Never", "containers": [container]}
    block = {"namespace": "$(params.namespace)", "template": {"spec": {"backoffLimit": 2, "template": {"spec": pod}}}}
    return {"name": name, "type": "Job", "timeout": "10m", "retryPolicy": _RETRY, "job": block}


def _subscription(name: str) -> Json:
    feed = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "$(params.namespace)", "name": "web"}
    affinity = {"matchLabels": {"site": "$(params.site)"}}
    block = {
        "operation": "Create",
        "name": name,
        "namespace": "$(params.namespace)",
        "spec": {"feeds": [feed], "subscribers": [{"clusterAffinity": affinity, "weight": 1}]},
    }
    rollback = {"type": "HTTP", "http": {"url": "https://dns.example.com/v1/back", "method": "POST"}}
    return {
        "name": name,
        "type": "Subscription",
        "timeout": "5m",
        "retryPolicy": _RETRY,
        "subscription": block,
        "rollback": rollback,
    }


def _object(kind: str, name: str, spec: Json) -> Json:
    fields: Json = {f"f:{member}": {} for member in spec}
    managed = {
        "manager": "kubectl-create",
        "operation": "Update",
        "apiVersion": API_VERSION,
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {".": {}, **fields}},
    }
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": "00000000-0000-4000-8000-000000000001",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
        "managedFields": [managed],
    }
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _review(operation: str, obj: Json, old: Json | None = None) -> bytes:
    kind = {"group": GROUP, "version": VERSION, "kind": obj["kind"]}
    resource = {"group": GROUP, "version": VERSION, "resource": obj["kind"].lower() + "s"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": obj["metadata"]["name"],
        "namespace": NAMESPACE,
        "operation": operation,
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": obj,
        "oldObject": old,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-create"},
    }
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(review, separators=(",", ":")).encode()
