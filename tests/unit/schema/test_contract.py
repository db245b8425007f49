"""The schema says what the API contract says: required members, defaults, enumerations, formats, bounds."""

from typing import Any

import pytest

from app.models.actions import ActionType
from app.schema.structural import node_at

from .test_structural import nodes, root

A = "spec.actions[]"

DEFAULTS = {
    "DRWorkflow": {
        "spec.executor.type": "Native",
        "spec.parameters[].type": "string",
        "spec.parameters[].valueFrom.manifestRef.select": "Last",
        "spec.failurePolicy": "FailFast",
        f"{A}.timeout": "5m",
        f"{A}.waitReady": False,
        f"{A}.clusterExecutionMode": "",
        f"{A}.retryPolicy.limit": 3,
        f"{A}.retryPolicy.interval": "5s",
        f"{A}.retryPolicy.backoffMultiplier": "2.0",
        f"{A}.http.method": "GET",
        f"{A}.localization.operation": "Create",
        f"{A}.globalization.operation": "Create",
        f"{A}.helmChart.operation": "Create",
        f"{A}.subscription.operation": "Create",
        f"{A}.resource.operation": "Create",
    },
    "DRPlan": {
        "spec.stages[].parallel": False,
        "spec.stages[].workflows[].params[].type": "string",
        "spec.stages[].workflows[].params[].valueFrom.manifestRef.select": "Last",
        "spec.globalParams[].type": "string",
        "spec.globalParams[].valueFrom.manifestRef.select": "Last",
        "spec.failurePolicy": "Stop",
    },
    "DRPlanExecution": {
        "spec.params[].type": "string",
        "spec.params[].valueFrom.manifestRef.select": "Last",
    },
}

REQUIRED = {
    "DRWorkflow": {
        "spec": {"actions"},
        "spec.parameters[]": {"name"},
        "spec.parameters[].valueFrom.manifestRef": {"apiVersion", "kind", "jsonPath"},
        A: {"name", "type"},
        f"{A}.http": {"url"},
        f"{A}.job": {"template"},
        f"{A}.job.template": {"spec"},
        f"{A}.job.template.spec": {"template"},
        f"{A}.job.template.spec.template.spec": {"containers"},
        f"{A}.localization": {"name", "namespace"},
        f"{A}.localization.spec": set(),
        f"{A}.localization.spec.feed": {"apiVersion", "kind", "name"},
        f"{A}.localization.spec.overrides[]": {"type", "value"},
        f"{A}.globalization": {"name"},
        f"{A}.globalization.spec": set(),
        f"{A}.helmChart": {"name", "namespace"},
        f"{A}.helmChart.spec": {"chart", "repo", "targetNamespace"},
        f"{A}.subscription": {"name"},
        f"{A}.subscription.spec": {"feeds", "subscribers"},
        f"{A}.subscription.spec.feeds[]": {"apiVersion", "kind", "name"},
        f"{A}.subscription.spec.subscribers[]": {"clusterAffinity"},
        f"{A}.subscription.spec.dividingScheduling": set(),
        f"{A}.subscription.spec.dividingScheduling.dynamicDividing": set(),
        f"{A}.resource": {"manifest"},
        f"{A}.retryPolicy": set(),
        f"{A}.hookCleanup": set(),
    },
    "DRPlan": {
        "spec": {"stages"},
        "spec.stages[]": {"name", "workflows"},
        "spec.stages[].workflows[]": {"workflowRef"},
        "spec.stages[].workflows[].workflowRef": {"name"},
        "status.currentExecution": {"name"},
        "status.executionHistory[]": {"name", "namespace", "operationType"},
    },
    "DRPlanExecution": {
        "spec": {"planRef", "operationType"},
        "status": set(),
        "status.stageStatuses[]": {"name", "phase"},
        "status.stageStatuses[].workflowExecutions[]": {"workflowRef", "phase"},
        "status.stageStatuses[].workflowExecutions[].actionStatuses[]": {"name", "phase"},
        "status.stageStatuses[].workflowExecutions[].actionStatuses[].clusterStatuses[]": {
            "cluster",
            "clusterID",
            "phase",
        },
        "status.stageStatuses[].workflowExecutions[].actionStatuses[].outputs.httpResponse": {"statusCode"},
        "status.conditions[]": {"type", "status", "lastTransitionTime", "reason", "message"},
    },
}

PLAIN = ["Create", "Apply", "Patch", "Delete"]
NODE = ["Pending", "Running", "Succeeded", "Failed", "Skipped", "Cancelled", "Canceled"]
STAGES = "status.stageStatuses[]"
RUNS = f"{STAGES}.workflowExecutions[]"
ACTIONS = f"{RUNS}.actionStatuses[]"
ENUMS = {
    "DRWorkflow": {
        "spec.executor.type": ["Native", "Argo"],
        "spec.failurePolicy": ["FailFast", "Continue"],
        "spec.parameters[].type": ["string", "number", "boolean"],
        "spec.parameters[].valueFrom.manifestRef.select": ["Last", "First", "Single", "Any"],
        f"{A}.type": [type_.value for type_ in ActionType],
        f"{A}.clusterExecutionMode": ["", "Global", "PerCluster"],
        f"{A}.http.method": ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        f"{A}.localization.operation": PLAIN,
        f"{A}.globalization.operation": PLAIN,
        f"{A}.helmChart.operation": PLAIN,
        f"{A}.resource.operation": PLAIN,
        f"{A}.subscription.operation": [*PLAIN, "Replace"],
        f"{A}.localization.spec.overridePolicy": ["ApplyNow", "ApplyLater"],
        f"{A}.globalization.spec.overridePolicy": ["ApplyNow", "ApplyLater"],
        f"{A}.localization.spec.overrides[].type": [
            "Helm",
            "JSONPatch",
            "MergePatch",
            "FieldJSONPatch",
            "FieldMergePatch",
        ],
        f"{A}.localization.spec.overrides[].fieldFormat": ["YAML", "JSON"],
        f"{A}.subscription.spec.schedulingStrategy": ["Replication", "Dividing"],
        f"{A}.subscription.spec.dividingScheduling.type": ["Static", "Dynamic"],
        f"{A}.subscription.spec.dividingScheduling.dynamicDividing.strategy": ["Spread", "Binpack"],
        f"{A}.subscription.spec.preemptionPolicy": ["PreemptLowerPriority", "PreemptNever"],
        "status.phase": ["Ready", "Invalid"],
    },
    "DRPlan": {
        "spec.failurePolicy": ["Stop", "Continue"],
        "spec.stages[].failurePolicy": ["Stop", "Continue", "FailFast"],
        "status.phase": ["Ready", "Executed", "Invalid"],
        "status.conditions[].status": ["True", "False", "Unknown"],
    },
    "DRPlanExecution": {
        "spec.operationType": ["Execute", "Revert"],
        "spec.mode": ["Install", "Upgrade", "Delete", "Rollback"],
        "status.phase": ["Pending", "Running", "Succeeded", "Failed", "Cancelled", "Canceled", "Unknown"],
        f"{STAGES}.phase": NODE,
        f"{RUNS}.phase": NODE,
        f"{ACTIONS}.phase": NODE,
        f"{ACTIONS}.clusterStatuses[].phase": NODE,
    },
}

FACTS: dict[str, dict[str, dict[str, Any]]] = {
    "DRWorkflow": {
        "spec.actions": {"minItems": 1},
        f"{A}.name": {"minLength": 1},
        f"{A}.retryPolicy.limit": {"type": "integer", "format": "int32"},
        f"{A}.retryPolicy.backoffMultiplier": {"type": "string"},
        f"{A}.job.ttlSecondsAfterFinished": {"type": "integer", "format": "int32"},
        f"{A}.localization.spec.priority": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000},
        f"{A}.globalization.spec.priority": {"minimum": 0, "maximum": 1000},
        f"{A}.globalization.spec.clusterAffinity": {"x-kubernetes-map-type": "atomic"},
        f"{A}.subscription.spec.subscribers[].clusterAffinity": {"x-kubernetes-map-type": "atomic"},
        f"{A}.subscription.spec.subscribers[].weight": {"format": "int32", "minimum": 0},
        f"{A}.subscription.spec.subscribers[].subGroupStrategy.minClusters": {"format": "int32", "minimum": 0},
        f"{A}.subscription.spec.clusterTolerations[].tolerationSeconds": {"format": "int64"},
        f"{A}.helmChart.spec.repo": {
            "pattern": r"^(http|https|oci)?://(?:[a-zA-Z]|[0-9]|[$-_@.&+]|[!*\(\),]|(?:%[0-9a-fA-F][0-9a-fA-F]))+$"
        },
        f"{A}.helmChart.spec.timeoutSeconds": {"format": "int32"},
        f"{A}.rollback": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "spec.executor.argoOptions.ttlStrategy.secondsAfterFailure": {"format": "int32"},
        "status.observedGeneration": {"format": "int64"},
        "status.actionCount": {"type": "integer"},
    },
    "DRPlan": {
        "spec.stages": {"minItems": 1},
        "spec.stages[].name": {"minLength": 1},
        "spec.stages[].workflows": {"minItems": 1},
        "spec.maxParallelStages": {"format": "int32", "minimum": 1},
        "status.executionHistory": {"maxItems": 10, "x-kubernetes-list-type": "atomic"},
        "status.executionHistory[].phase": {"type": "string"},
        "status.lastExecutionTime": {"format": "date-time"},
        "status.lastProcessedTrigger": {"type": "string"},
        "status.observedGeneration": {"format": "int64"},
    },
    "DRPlanExecution": {
        "spec.planRef": {"type": "string"},
        "status.startTime": {"type": "string", "format": "date-time"},
        "status.duration": {"type": "string"},
        "status.summary.completedStages": {"type": "integer"},
        "status.journalSequence": {"format": "int64"},
        f"{ACTIONS}.retryCount": {"type": "integer", "format": "int32"},
        f"{ACTIONS}.outputs.jobRef": {"x-kubernetes-map-type": "atomic"},
        f"{ACTIONS}.outputs.subscriptionRefs[]": {"x-kubernetes-map-type": "atomic"},
        "status.conditions[].type": {"maxLength": 316},
        "status.conditions[].reason": {"minLength": 1, "maxLength": 1024},
        "status.conditions[].message": {"maxLength": 32768},
        "status.conditions[].observedGeneration": {"format": "int64", "minimum": 0},
        "status.conditions[].lastTransitionTime": {"format": "date-time"},
    },
}


@pytest.mark.parametrize("kind", DEFAULTS)
def test_defaults_are_those_of_the_contract_and_no_others(kind: str) -> None:
    found = {
        path: node["default"]
        for path, node in nodes(root(kind))
        if "default" in node and "job.template.spec" not in path
    }
    assert found == DEFAULTS[kind]


def test_a_payload_has_no_defaults() -> None:
    payloads = ("localization.spec", "globalization.spec", "helmChart.spec", "subscription.spec", "rollback")
    found = [
        path
        for path, node in nodes(root("DRWorkflow"))
        if "default" in node and path.startswith(tuple(f"{A}.{payload}" for payload in payloads))
    ]
    assert found == []


def test_the_defaults_inside_a_job_are_those_of_list_keys() -> None:
    found = {
        path.rsplit("template.spec.", 1)[1]: node["default"]
        for path, node in nodes(root("DRWorkflow"))
        if "default" in node and "job.template.spec" in path
    }
    assert found == {
        "containers[].ports[].protocol": "TCP",
        "initContainers[].ports[].protocol": "TCP",
        "ephemeralContainers[].ports[].protocol": "TCP",
        "imagePullSecrets[].name": "",
    }


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in REQUIRED.items() for path in paths])
def test_required_members(kind: str, path: str) -> None:
    assert set(node_at(root(kind), path).get("required", ())) == REQUIRED[kind][path]


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in ENUMS.items() for path in paths])
def test_enumerations(kind: str, path: str) -> None:
    assert node_at(root(kind), path)["enum"] == ENUMS[kind][path]


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in FACTS.items() for path in paths])
def test_types_formats_and_bounds(kind: str, path: str) -> None:
    node = node_at(root(kind), path)
    facts = FACTS[kind][path]
    assert {key: node.get(key) for key in facts} == facts


@pytest.mark.parametrize("kind", DEFAULTS)
def test_only_conditions_are_merged_by_key(kind: str) -> None:
    keyed = {
        path: node["x-kubernetes-list-map-keys"]
        for path, node in nodes(root(kind))
        if node.get("x-kubernetes-list-type") == "map" and "job.template.spec" not in path
    }
    assert keyed == {"status.conditions": ["type"]}


def test_only_a_rollback_keeps_unknown_members_and_one_member_is_of_two_types() -> None:
    free = [path for path, node in nodes(root("DRWorkflow")) if "x-kubernetes-preserve-unknown-fields" in node]
    assert free == [f"{A}.http.followRedirects", f"{A}.rollback"]


def test_a_phase_in_the_history_is_any_text() -> None:
    assert "enum" not in node_at(root("DRPlan"), "status.executionHistory[].phase")


def test_the_ten_counters_of_the_go_operator_are_kept() -> None:
    counters = node_at(root("DRPlanExecution"), "status.summary")["properties"].keys()
    states = ("total", "completed", "running", "pending", "failed")
    assert {f"{state}{level}" for state in states for level in ("Stages", "Workflows")} <= counters
