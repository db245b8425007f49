from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.readiness import JobOutcome, Readiness, is_ready, job_outcome


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
    "deployment of one replica by default": make("apps/v1", "Deployment", DEPLOYED),
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
    "config map": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}},
    "custom object with condition": make("example.com/v1", "Database", condition("Ready", "True")),
    "custom object without conditions": make("example.com/v1", "Database", {}),
    "custom object with unknown conditions": make("example.com/v1", "Database", condition("Synced", "False")),
    "other group's Deployment": make("example.com/v1", "Deployment", {}),
    "custom object with a strange status": make(
        "example.com/v1", "Database", {"conditions": "none", "observedGeneration": "x"}
    ),
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
