from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.readiness import (
    JobOutcome,
    Readiness,
    is_ready,
    job_outcome,
    lingering_pods,
    meets_condition,
    pod_selector,
)


def make(
    api_version: str, kind: str, status: dict[str, Any], spec: dict[str, Any] | None = None, generation: int = 2
) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "generation": generation},
        "spec": spec or {},
        "status": status,
    }


def condition(name: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {
        "conditions": [
            {"type": "Other", "status": "True"},
            {"type": name, "status": status, "reason": reason, "message": message},
        ]
    }


def conditions(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": status, **more} for name, status in pairs]}


DEPLOYED = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
STATEFUL = {
    "observedGeneration": 2,
    "replicas": 3,
    "readyReplicas": 3,
    "updatedReplicas": 3,
    "currentRevision": "r2",
    "updateRevision": "r2",
}
DAEMON = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
PARTITION = {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
ON_DELETE = {"replicas": 3, "updateStrategy": {"type": "OnDelete"}}

READY = {
    "deployment": make("apps/v1", "Deployment", DEPLOYED, {"replicas": 3}),
    "deployment of one replica by default": make(
        "apps/v1", "Deployment", {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    ),
    "deployment scaled to zero": make("apps/v1", "Deployment", {"observedGeneration": 2}, {"replicas": 0}),
    "stateful set": make("apps/v1", "StatefulSet", STATEFUL, {"replicas": 3}),
    "stateful set with partition": make(
        "apps/v1", "StatefulSet", STATEFUL | {"updatedReplicas": 1, "currentRevision": "r1"}, PARTITION
    ),
    "stateful set updated by hand": make("apps/v1", "StatefulSet", STATEFUL | {"currentRevision": "r1"}, ON_DELETE),
    "daemon set": make("apps/v1", "DaemonSet", DAEMON),
    "daemon set updated by hand": make("apps/v1", "DaemonSet", DAEMON | {"updatedNumberScheduled": 0}, ON_DELETE),
    "daemon set without nodes": make("apps/v1", "DaemonSet", {"observedGeneration": 2}),
    "replica set": make("apps/v1", "ReplicaSet", {"observedGeneration": 2, "availableReplicas": 1}),
    "replication controller": make("v1", "ReplicationController", {"observedGeneration": 2, "availableReplicas": 1}),
    "job": make("batch/v1", "Job", condition("Complete", "True")),
    "pod": make("v1", "Pod", {"phase": "Running"} | condition("Ready", "True")),
    "pod that has done its work": make("v1", "Pod", {"phase": "Succeeded"} | condition("Ready", "False")),
    "claim": make("v1", "PersistentVolumeClaim", {"phase": "Bound"}),
    "service": make("v1", "Service", {"loadBalancer": {}}, {"type": "ClusterIP"}),
    "load balancer": make(
        "v1", "Service", {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}, {"type": "LoadBalancer"}
    ),
    "namespace": make("v1", "Namespace", {"phase": "Active"}),
    "definition": make("apiextensions.k8s.io/v1", "CustomResourceDefinition", condition("Established", "True")),
    "api service": make("apiregistration.k8s.io/v1", "APIService", condition("Available", "True")),
    "custom object with condition": make("example.com/v1", "Database", condition("Ready", "True")),
    "custom object reconciled": make(
        "example.com/v1", "Database", conditions(("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False"))
    ),
    "custom object that is synced": make(
        "example.com/v1", "Database", conditions(("Ready", "True"), ("Synced", "True"))
    ),
    "claim that grew": make(
        "v1",
        "PersistentVolumeClaim",
        {"phase": "Bound", "capacity": {"storage": "2Gi"}},
        {"resources": {"requests": {"storage": "2048Mi"}}},
    ),
    "claim of a driver that tells no capacity": make("v1", "PersistentVolumeClaim", {"phase": "Bound"}, {}),
    "volume": make("v1", "PersistentVolume", {"phase": "Available"}),
    "node": make("v1", "Node", condition("Ready", "True")),
    "ingress": make("networking.k8s.io/v1", "Ingress", {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}),
    "cron job": make("batch/v1", "CronJob", {}),
    "autoscaler": make(
        "autoscaling/v2", "HorizontalPodAutoscaler", conditions(("AbleToScale", "True"), ("ScalingActive", "True"))
    ),
    "autoscaler that is off": make(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        {
            "conditions": [
                {"type": "AbleToScale", "status": "True"},
                {"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"},
            ]
        },
    ),
    "disruption budget": make("policy/v1", "PodDisruptionBudget", {"observedGeneration": 2}),
    "quota": make("v1", "ResourceQuota", {"hard": {"cpu": "1", "pods": "5"}}, {"hard": {"cpu": "1000m", "pods": "5"}}),
    "signing request": make("certificates.k8s.io/v1", "CertificateSigningRequest", {"certificate": "..."}),
    "volume attachment": make("storage.k8s.io/v1", "VolumeAttachment", {"attached": True}),
    "Velero restore": make("velero.io/v1", "Restore", {"phase": "Completed"}),
    "Argo rollout of the present generation, told as text": make(
        "argoproj.io/v1alpha1", "Rollout", {"phase": "Healthy", "observedGeneration": "2"}
    ),
    "Argo application": make(
        "argoproj.io/v1alpha1", "Application", {"health": {"status": "Healthy"}, "sync": {"status": "Synced"}}
    ),
    "volume snapshot": make("snapshot.storage.k8s.io/v1", "VolumeSnapshot", {"readyToUse": True}),
    "Gateway route": make(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        {"parents": [conditions(("Accepted", "True"), ("ResolvedRefs", "True"))]},
    ),
    "Tekton run": make("tekton.dev/v1", "PipelineRun", condition("Succeeded", "True")),
}

WAITING = {
    "deployment without status": (make("apps/v1", "Deployment", {}), "not observed"),
    "deployment of an older generation": (
        make("apps/v1", "Deployment", DEPLOYED, {"replicas": 3}, generation=3),
        "generation 3 is not observed yet, the status is of generation 2",
    ),
    "deployment with old pods": (
        make("apps/v1", "Deployment", DEPLOYED | {"replicas": 4}, {"replicas": 3}),
        "1 old replicas are pending termination",
    ),
    "deployment not updated": (
        make("apps/v1", "Deployment", DEPLOYED | {"updatedReplicas": 1}, {"replicas": 3}),
        "1 of 3 new replicas have been updated",
    ),
    "paused deployment": (
        make("apps/v1", "Deployment", DEPLOYED | {"updatedReplicas": 1}, {"replicas": 3, "paused": True}),
        "1 of 3 new replicas have been updated (the Deployment is paused)",
    ),
    "deployment not available": (
        make("apps/v1", "Deployment", DEPLOYED | {"availableReplicas": 2}, {"replicas": 3}),
        "2 of 3 updated replicas are available",
    ),
    "new stateful set": (make("apps/v1", "StatefulSet", {"observedGeneration": 0}, generation=0), "not observed"),
    "stateful set not ready": (
        make("apps/v1", "StatefulSet", STATEFUL | {"readyReplicas": 2}, {"replicas": 3}),
        "2 of 3 pods are ready",
    ),
    "stateful set at an old revision": (
        make("apps/v1", "StatefulSet", STATEFUL | {"currentRevision": "r1", "updatedReplicas": 1}, {"replicas": 3}),
        "1 of 3 pods are at revision r2",
    ),
    "stateful set with partition": (
        make("apps/v1", "StatefulSet", STATEFUL | {"updatedReplicas": 0}, PARTITION),
        "0 of 1 pods of the partition are updated",
    ),
    "daemon set not updated": (
        make("apps/v1", "DaemonSet", DAEMON | {"updatedNumberScheduled": 1}),
        "1 of 3 new pods have been updated",
    ),
    "daemon set not available": (make("apps/v1", "DaemonSet", DAEMON | {"numberAvailable": 0}), "0 of 3 pods"),
    "daemon set without status": (make("apps/v1", "DaemonSet", {}), "not observed"),
    "replica set": (make("apps/v1", "ReplicaSet", {}), "the ReplicaSet is not observed"),
    "job": (make("batch/v1", "Job", {"active": 2, "failed": 1}), "0 of 1 pods completed, 2 active, 1 failed"),
    "suspended job": (make("batch/v1", "Job", {}, {"suspend": True}), "suspended"),
    "pod": (
        make("v1", "Pod", {"phase": "Pending"} | condition("Ready", "False", "ContainersNotReady", "containers: [c]")),
        "condition Ready is False (ContainersNotReady: containers: [c])",
    ),
    "pod without status": (make("v1", "Pod", {}), "no condition Ready yet"),
    "claim": (make("v1", "PersistentVolumeClaim", {"phase": "Pending"}), "phase is Pending, expected Bound"),
    "load balancer": (make("v1", "Service", {"loadBalancer": {}}, {"type": "LoadBalancer"}), "no ingress address"),
    "namespace": (make("v1", "Namespace", {}), "phase is not set, expected Active"),
    "definition": (make("apiextensions.k8s.io/v1", "CustomResourceDefinition", {}), "no condition Established"),
    "api service": (
        make("apiregistration.k8s.io/v1", "APIService", condition("Available", "False", "MissingEndpoints")),
        "condition Available is False (MissingEndpoints)",
    ),
    "custom object": (make("example.com/v1", "Database", condition("Ready", "Unknown")), "condition Ready is Unknown"),
    "custom object of an older generation": (
        make("example.com/v1", "Database", condition("Ready", "True") | {"observedGeneration": 1}),
        "generation 2 is not observed yet",
    ),
    "custom object without status": (
        make("example.com/v1", "Database", {}),
        "does the controller of kind Database run?",
    ),
    "custom object with unknown conditions": (
        make("example.com/v1", "Database", condition("Synced", "True")),
        "no condition Ready or Available",
    ),
    "custom object with a phase only": (
        make("example.com/v1", "Database", {"phase": "Running"}),
        "no condition Ready or Available (status.phase is Running); if kind Database tells its readiness otherwise",
    ),
    "other group's Deployment": (make("example.com/v1", "Deployment", {}), "no status yet"),
    "custom object with a strange status": (
        make("example.com/v1", "Database", {"conditions": "none", "observedGeneration": "x"}),
        "no condition Ready or Available",
    ),
    "custom object whose condition is of an older generation": (
        make("example.com/v1", "Database", conditions(("Ready", "True"), observedGeneration=1)),
        "generation 2 is not observed yet, condition Ready is of generation 1",
    ),
    "custom object that is reconciled": (
        make("example.com/v1", "Database", conditions(("Ready", "True"), ("Reconciling", "True"))),
        "condition Reconciling is True",
    ),
    "custom object that is not synced": (
        make("example.com/v1", "Database", conditions(("Ready", "True"), ("Synced", "False"))),
        "condition Synced is False",
    ),
    "custom object stalled on an older generation": (
        make("example.com/v1", "Database", conditions(("Ready", "False"), ("Stalled", "True"), observedGeneration=1)),
        "generation 2 is not observed yet",
    ),
    "Argo rollout of an older generation, told as text": (
        make("argoproj.io/v1alpha1", "Rollout", {"phase": "Healthy", "observedGeneration": "1"}),
        "generation 2 is not observed yet",
    ),
    "Argo application out of sync": (
        make("argoproj.io/v1alpha1", "Application", {"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}}),
        "status.sync.status is OutOfSync",
    ),
    "Velero restore that runs": (
        make("velero.io/v1", "Restore", {"phase": "InProgress"}),
        "status.phase is InProgress",
    ),
    "new Velero restore": (make("velero.io/v1", "Restore", {}), "status.phase is not set"),
    "route of an older generation": (
        make(
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            {"parents": [conditions(("Accepted", "True"), ("ResolvedRefs", "True"), observedGeneration=1)]},
        ),
        "generation 2 is not observed yet",
    ),
    "route nobody has looked at": (make("gateway.networking.k8s.io/v1", "HTTPRoute", {}), "no parent has accepted"),
    "volume snapshot": (
        make("snapshot.storage.k8s.io/v1", "VolumeSnapshot", {"readyToUse": False, "error": {"message": "quota"}}),
        "not true yet (quota)",
    ),
    "claim that grows": (
        make(
            "v1",
            "PersistentVolumeClaim",
            {"phase": "Bound", "capacity": {"storage": "1Gi"}},
            {"resources": {"requests": {"storage": "2Gi"}}},
        ),
        "the volume has 1Gi, 2Gi are asked for",
    ),
    "claim whose file system waits": (
        make("v1", "PersistentVolumeClaim", {"phase": "Bound"} | condition("FileSystemResizePending", "True")),
        "condition FileSystemResizePending is True",
    ),
    "ingress": (make("networking.k8s.io/v1", "Ingress", {"loadBalancer": {}}), "no ingress address"),
    "autoscaler": (
        make("autoscaling/v2", "HorizontalPodAutoscaler", condition("AbleToScale", "True")),
        "no condition ScalingActive yet",
    ),
    "disruption budget": (make("policy/v1", "PodDisruptionBudget", {}), "not observed"),
    "quota": (
        make("v1", "ResourceQuota", {"hard": {"pods": "4"}}, {"hard": {"pods": "5"}}),
        "not enforced yet for pods",
    ),
    "signing request": (make("certificates.k8s.io/v1", "CertificateSigningRequest", {}), "no certificate"),
    "deployment scaled to zero with pods": (
        make("apps/v1", "Deployment", {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}, {"replicas": 0}),
        "2 more replicas than the 0 wanted still exist",
    ),
    "deployment whose pods terminate": (
        make("apps/v1", "Deployment", {"observedGeneration": 2, "terminatingReplicas": 1}, {"replicas": 0}),
        "1 replicas are still terminating",
    ),
    "stateful set scaled down": (
        make("apps/v1", "StatefulSet", STATEFUL, {"replicas": 1}),
        "2 more replicas than the 1 wanted still exist",
    ),
    "stateful set not available": (
        make("apps/v1", "StatefulSet", STATEFUL | {"availableReplicas": 2}, {"replicas": 3, "minReadySeconds": 10}),
        "2 of 3 pods are available",
    ),
    "replica set scaled to zero with pods": (
        make("apps/v1", "ReplicaSet", {"observedGeneration": 2, "replicas": 1}, {"replicas": 0}),
        "1 more replicas than the 0 wanted still exist",
    ),
    "object being deleted": (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        "being deleted",
    ),
}

FAILED = {
    "deployment": (
        make(
            "apps/v1",
            "Deployment",
            DEPLOYED | condition("Progressing", "False", "ProgressDeadlineExceeded", "too slow"),
        ),
        "ProgressDeadlineExceeded: too slow",
    ),
    "job": (
        make("batch/v1", "Job", condition("Failed", "True", "BackoffLimitExceeded", "Job has reached the limit")),
        "BackoffLimitExceeded: Job has reached the limit",
    ),
    "pod": (make("v1", "Pod", {"phase": "Failed", "reason": "Evicted"}), "the pod failed: Evicted"),
    "claim": (make("v1", "PersistentVolumeClaim", {"phase": "Lost"}), "the claim has lost its volume"),
    "definition": (
        make("apiextensions.k8s.io/v1", "CustomResourceDefinition", condition("NamesAccepted", "False", "", "taken")),
        "names are not accepted: taken",
    ),
    "volume": (make("v1", "PersistentVolume", {"phase": "Failed", "message": "gone"}), "the volume failed: gone"),
    "signing request": (
        make("certificates.k8s.io/v1", "CertificateSigningRequest", condition("Denied", "True", "No", "never")),
        "the request is denied: No: never",
    ),
    "Velero backup": (
        make("velero.io/v1", "Backup", {"phase": "PartiallyFailed", "failureReason": "two items"}),
        "status.phase is PartiallyFailed (two items)",
    ),
    "Argo workflow": (
        make("argoproj.io/v1alpha1", "Workflow", {"phase": "Error", "message": "no image"}),
        "status.phase is Error (no image)",
    ),
    "Tekton run": (
        make("tekton.dev/v1", "TaskRun", condition("Succeeded", "False", "TaskRunTimeout", "too long")),
        "the run failed (TaskRunTimeout: too long)",
    ),
    "custom object that is stalled": (
        make("example.com/v1", "Database", condition("Stalled", "True", "BadSpec", "no such version")),
        "condition Stalled is True (BadSpec: no such version)",
    ),
}


@pytest.mark.parametrize("obj", READY.values(), ids=READY)
def test_ready(obj: dict[str, Any]) -> None:
    assert is_ready(obj) == Readiness(ready=True)


@pytest.mark.parametrize(("obj", "reason"), WAITING.values(), ids=WAITING)
def test_waiting(obj: dict[str, Any], reason: str) -> None:
    verdict = is_ready(obj)
    assert not verdict.ready
    assert not verdict.failed
    assert reason in verdict.reason


@pytest.mark.parametrize(("obj", "reason"), FAILED.values(), ids=FAILED)
def test_failed(obj: dict[str, Any], reason: str) -> None:
    assert is_ready(obj) == Readiness(ready=False, failed=True, reason=reason)


@pytest.mark.parametrize(
    "obj",
    [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}},
        make("example.com/v1", "Setting", {}),
    ],
)
def test_what_reports_no_status_is_ready_once_it_exists(obj: dict[str, Any]) -> None:
    assert is_ready(obj, reports_status=False) == Readiness(ready=True)
    assert not is_ready(obj).ready


def test_a_status_counts_although_its_kind_promises_none() -> None:
    obj = make("example.com/v1", "Setting", condition("Ready", "False", "Slow"))
    assert not is_ready(obj, reports_status=False).ready


def test_a_named_condition() -> None:
    obj = make("example.com/v1", "Database", condition("Promoted", "True"))
    assert meets_condition(obj, "Promoted").ready
    assert meets_condition(obj, "Ready").reason == "no condition Ready yet"
    assert (
        "generation 3"
        in meets_condition(
            obj | {"metadata": {"generation": 3}} | {"status": conditions(("Promoted", "True"), observedGeneration=2)},
            "Promoted",
        ).reason
    )
    assert not meets_condition(obj | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Promoted").ready


def pod(name: str, phase: str = "Running", *, deleting: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"pod-template-hash": "1"}}
        | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}),
        "status": {"phase": phase},
    }


def test_pods_that_should_be_gone() -> None:
    none = make("apps/v1", "Deployment", {}, {"replicas": 0})
    two = make("apps/v1", "StatefulSet", {}, {"replicas": 2})
    assert lingering_pods(none, []) == ""
    assert lingering_pods(none, [pod("done", "Succeeded"), pod("dead", "Failed")]) == ""
    assert lingering_pods(none, [pod("b"), pod("a", deleting=True)]) == "2 pods are still terminating: a, b"
    assert lingering_pods(two, [pod("a"), pod("b")]) == ""
    assert lingering_pods(two, [pod("a"), pod("b", deleting=True)]) == "1 pod is still terminating: b"
    many = [pod(f"p{number}", deleting=True) for number in range(5)]
    assert lingering_pods(two, many) == "5 pods are still terminating: p0, p1, p2 and 2 more"
    daemons = make("apps/v1", "DaemonSet", {"desiredNumberScheduled": 0})
    assert lingering_pods(daemons, [pod("a")]) == "1 pod is still terminating: a"


def test_selectors_of_pods() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["web", "api"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "live", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["b"]},
    ]
    selector = {"matchLabels": {"app": "shop"}, "matchExpressions": expressions}
    assert (
        pod_selector(make("apps/v1", "Deployment", {}, {"selector": selector}))
        == "app=shop,tier in (web,api),!old,live,zone notin (b)"
    )
    assert pod_selector(make("v1", "ReplicationController", {}, {"selector": {"app": "shop"}})) == "app=shop"
    assert pod_selector(make("example.com/v1", "Deployment", {}, {"selector": selector})) == ""
    assert pod_selector(make("apps/v1", "Deployment", {}, {"selector": "x"})) == ""


def test_every_condition_of_ready_and_available_counts() -> None:
    both = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Available", "status": "False"}]}
    assert not is_ready(make("example.com/v1", "Database", both)).ready


def test_job_outcomes() -> None:
    assert job_outcome(make("batch/v1", "Job", condition("Complete", "True"))) == JobOutcome(
        finished=True, succeeded=True
    )
    assert job_outcome(
        make("batch/v1", "Job", condition("Failed", "True", "DeadlineExceeded", "too long"))
    ) == JobOutcome(finished=True, succeeded=False, reason="DeadlineExceeded", message="too long")
    assert not job_outcome(make("batch/v1", "Job", condition("FailureTarget", "True", "PodFailurePolicy"))).finished
    assert job_outcome(make("batch/v1", "Job", {"succeeded": 2, "active": 1}, {"completions": 3})) == JobOutcome(
        finished=False, message="2 of 3 pods completed, 1 active, 0 failed"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda v: st.lists(v) | st.dictionaries(st.text(max_size=3), v),
)
KINDS = st.sampled_from([(obj["apiVersion"], obj["kind"]) for obj in READY.values()])


@given(
    KINDS,
    st.dictionaries(st.sampled_from(["conditions", "observedGeneration", "replicas", "phase", "loadBalancer"]), JSON),
    JSON,
)
def test_any_status_gets_a_verdict(kind: tuple[str, str], status: dict[str, Any], spec: Any) -> None:
    verdict = is_ready(
        {"apiVersion": kind[0], "kind": kind[1], "metadata": {"generation": 1}, "spec": spec, "status": status}
    )
    assert verdict.ready == (not verdict.reason)
