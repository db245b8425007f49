"""Signs of readiness that are in other places than the usual ones: who keeps them where, and about which spec."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.readiness import Readiness, is_ready, lingering_pods, pod_selector
from tests.unit.engine.test_readiness import DEPLOYED, condition, conditions, make, pod

THREE = {"replicas": 3}
LB = {"type": "LoadBalancer"}
GATEWAYS = "gateway.networking.k8s.io/v1"
LATE = {
    "conditions": [
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": "too slow",
            "lastUpdateTime": "2026-05-01T10:00:00Z",
        }
    ]
}
ACCEPTED = conditions(("Accepted", "True"), ("ResolvedRefs", "True"))


def balanced(*ingress: dict[str, Any]) -> dict[str, Any]:
    return make("v1", "Service", {"loadBalancer": {"ingress": list(ingress)}}, LB)


def scaler(value: str) -> dict[str, Any]:
    obj = make("autoscaling/v1", "HorizontalPodAutoscaler", {"currentReplicas": 1})
    annotations = {"autoscaling.alpha.kubernetes.io/conditions": value}
    return obj | {"metadata": obj["metadata"] | {"annotations": annotations}}


def late(updated: int, written: str, **spec: Any) -> dict[str, Any]:
    entries = [
        {"time": written, "fieldsV1": {"f:spec": {}}},
        {"time": "2026-05-02T00:00:00Z", "fieldsV1": {"f:status": {}}},
    ]
    obj = make("apps/v1", "Deployment", DEPLOYED | LATE | {"updatedReplicas": updated}, THREE | spec)
    return obj | {"metadata": obj["metadata"] | {"managedFields": entries}}


def progressing(reason: str) -> dict[str, Any]:
    moving = {"type": "Progressing", "status": "True", "reason": reason}
    return make("example.com/v1", "Database", {"conditions": [{"type": "Available", "status": "True"}, moving]})


def application(compared: str, wanted: str) -> dict[str, Any]:
    sync = {"status": "Synced", "comparedTo": {"source": {"path": compared}}}
    status = {"health": {"status": "Healthy"}, "sync": sync}
    return make("argoproj.io/v1alpha1", "Application", status, {"source": {"path": wanted, "helm": {}}})


def route(kind: str, parents: list[Any], refs: list[Any]) -> dict[str, Any]:
    return make(GATEWAYS, kind, {"parents": parents}, {"parentRefs": refs})


def machine(state: str, ready: str, **spec: Any) -> dict[str, Any]:
    return make("kubevirt.io/v1", "VirtualMachine", condition("Ready", ready) | {"printableStatus": state}, spec)


def replication(state: str, wanted: str) -> dict[str, Any]:
    status = conditions(("Completed", "True"), observedGeneration=2) | {"state": state}
    spec = {"replicationState": wanted}
    return make("replication.storage.openshift.io/v1alpha1", "VolumeReplication", status, spec)


READY = {
    "deployment that is complete although it was late": late(3, "2026-05-01T09:59:00Z"),
    "load balancer whose second entry has an address": balanced({}, {"hostname": "x", "ports": [{"port": 80}]}),
    "autoscaler of the old version": scaler(
        '[{"type":"AbleToScale","status":"True"},{"type":"ScalingActive","status":"True"}]'
    ),
    "claim of the class that it names": make(
        "v1",
        "PersistentVolumeClaim",
        {"phase": "Bound", "currentVolumeAttributesClassName": "gold"},
        {"volumeAttributesClassName": "gold"},
    ),
    "admission policy": make("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", {"observedGeneration": 2}),
    "migration": make("storagemigration.k8s.io/v1beta1", "StorageVersionMigration", condition("Succeeded", "True")),
    "pod certificate": make("certificates.k8s.io/v1beta1", "PodCertificateRequest", {"certificateChain": "..."}),
    "flow schema": make("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", condition("Dangling", "False")),
    "device taint rule": make("resource.k8s.io/v1alpha3", "DeviceTaintRule", {}),
    "Progressing that stays True": progressing("NewReplicaSetAvailable"),
    "object that its scheduler has seen": make(
        "example.com/v1", "Binding", condition("Ready", "True") | {"schedulerObservedGeneration": 2}
    ),
    "template of a generation of its own": make(
        "example.com/v1", "Set", condition("Ready", "True") | {"templateGeneration": 1, "generation": 1}
    ),
    "machine": machine("Running", "True", runStrategy="Always"),
    "machine that shall stand still": machine("Stopped", "False", running=False),
    "replicated volume": replication("Primary", "primary"),
    "replicated volume that was synchronised anew": replication("Secondary", "resync"),
    "Crossplane provider": make(
        "pkg.crossplane.io/v1", "Provider", conditions(("Installed", "True"), ("Healthy", "True"))
    ),
    "Argo application": application("a", "a"),
    "route that an earlier parent still refuses": route(
        "GRPCRoute",
        [
            {"parentRef": {"name": "old"}} | condition("Accepted", "False"),
            {"parentRef": {"name": "new", "namespace": "ns"}} | ACCEPTED,
        ],
        [{"name": "new", "namespace": "ns", "kind": "Gateway"}],
    ),
    "DNS endpoint": make("externaldns.k8s.io/v1alpha1", "DNSEndpoint", {"observedGeneration": 2}),
}

WAITING = {
    "deployment that was late before it was changed": (
        late(1, "2026-05-01T10:00:00Z"),
        "1 of 3 new replicas have been updated (the rollout before it had ProgressDeadlineExceeded: too slow)",
    ),
    "deployment that was late and is paused": (late(1, "2026-05-01T09:00:00Z", paused=True), "is paused"),
    "load balancer without address": (balanced({"ipMode": "VIP"}), "no ingress address"),
    "load balancer that cannot serve a port": (
        balanced({"ip": "10.0.0.1", "ports": [{"port": 80, "error": "MixedProtocol"}]}),
        "does not serve port 80 (MixedProtocol)",
    ),
    "autoscaler of the old version": (
        scaler('[{"type":"AbleToScale","status":"True"},{"type":"ScalingActive","status":"False","reason":"No"}]'),
        "condition ScalingActive is False (No)",
    ),
    "autoscaler with an odd annotation": (scaler("{"), "no condition AbleToScale"),
    "claim of another class": (
        make("v1", "PersistentVolumeClaim", {"phase": "Bound"}, {"volumeAttributesClassName": "gold"}),
        "the volume is of VolumeAttributesClass none, gold is asked for",
    ),
    "disruption budget of pods that nobody scales": (
        make(
            "policy/v1",
            "PodDisruptionBudget",
            {"observedGeneration": 2} | condition("DisruptionAllowed", "False", "SyncFailed", "no scale"),
        ),
        "SyncFailed: no scale",
    ),
    "definition whose names were refused in an older generation": (
        make(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            conditions(("NamesAccepted", "False"), observedGeneration=1),
        ),
        "no condition Established yet",
    ),
    "admission policy": (make("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", {}), "not observed"),
    "migration": (
        make("storagemigration.k8s.io/v1beta1", "StorageVersionMigration", condition("Running", "True")),
        "no condition Succeeded",
    ),
    "flow schema of no level": (
        make("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", condition("Dangling", "True", "NotFound")),
        "condition Dangling is True (NotFound)",
    ),
    "object that is rolled out": (progressing("RollingOut"), "condition Progressing is True (RollingOut)"),
    "object that is not reconciled": (
        make("monitoring.coreos.com/v1", "Prometheus", conditions(("Available", "True"), ("Reconciled", "False"))),
        "condition Reconciled is False",
    ),
    "suspended object": (
        make(
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            condition("Ready", "True") | {"observedGeneration": 1},
            {"suspend": True},
        ),
        "the status is of generation 1 (it is suspended)",
    ),
    **{
        f"generation in {name}": (
            make("example.com/v1", "Database", condition("Ready", "True") | {name: 1}),
            "generation 2 is not observed yet, the status is of generation 1",
        )
        for name in (
            "schedulerObservedGeneration",
            "lastObservedGeneration",
            "reconciledGeneration",
            "lastAppliedGeneration",
            "observed_generation",
        )
    },
    "machine that still runs": (
        machine("Stopping", "True", runStrategy="Halted"),
        "status.printableStatus is Stopping, expected Stopped",
    ),
    "volume in its old role": (replication("Secondary", "primary"), "status.state is Secondary, expected Primary"),
    "Argo application": (application("a", "b"), "a source other than the one of the spec"),
    "route of which one parent is silent": (
        route(
            "HTTPRoute",
            [{"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a"}} | ACCEPTED],
            [{"name": "a"}, {"name": "b"}],
        ),
        "parent b has not accepted",
    ),
    "object with conditions of its own": (
        make("example.com/v1", "Database", conditions(("Healthy", "True"), ("BackedUp", "True"))),
        "(it has Healthy, BackedUp)",
    ),
}

FAILED = {
    "deployment that was late after it was changed": (
        late(1, "2026-05-01T09:59:00Z"),
        "ProgressDeadlineExceeded: too slow",
    ),
    "migration": (
        make("storagemigration.k8s.io/v1beta1", "StorageVersionMigration", condition("Failed", "True", "", "no")),
        "the migration failed: no",
    ),
}


@pytest.mark.parametrize("obj", READY.values(), ids=READY)
def test_ready(obj: dict[str, Any]) -> None:
    assert is_ready(obj) == Readiness(ready=True)


@pytest.mark.parametrize(("obj", "reason"), WAITING.values(), ids=WAITING)
def test_waiting(obj: dict[str, Any], reason: str) -> None:
    verdict = is_ready(obj)
    assert (verdict.ready, verdict.failed) == (False, False)
    assert reason in verdict.reason


@pytest.mark.parametrize(("obj", "reason"), FAILED.values(), ids=FAILED)
def test_failed(obj: dict[str, Any], reason: str) -> None:
    assert is_ready(obj) == Readiness(ready=False, failed=True, reason=reason)


def owned(kind: str, uid: str) -> dict[str, Any]:
    owner = {"kind": kind, "name": "x", "uid": uid, "controller": True}
    return pod("p") | {"metadata": {"name": "p", "ownerReferences": [{"kind": "Site", "uid": "9"}, owner]}}


def test_pods_of_others_with_the_same_labels_are_not_waited_for() -> None:
    by_way_of_another = make("apps/v1", "Deployment", {}, {"replicas": 0})
    itself = make("apps/v1", "StatefulSet", {}, {"replicas": 0})
    itself["metadata"]["uid"] = "1"
    bare = pod("p") | {"metadata": {"name": "p"}}
    left = "1 pod is still terminating: p"
    for workload, another, verdict in (
        (by_way_of_another, owned("Job", "7"), ""),
        (by_way_of_another, owned("ReplicaSet", "7"), left),
        (by_way_of_another, bare, ""),
        (by_way_of_another, pod("p"), left),
        (itself, owned("StatefulSet", "1"), left),
        (itself, owned("StatefulSet", "2"), ""),
        (itself, owned("Job", "7"), ""),
        (itself, bare, left),
    ):
        assert lingering_pods(workload, [another]) == verdict


def test_workloads_of_extensions_have_pods_too() -> None:
    selector = {"matchLabels": {"app": "shop"}}
    assert pod_selector(make("argoproj.io/v1alpha1", "Rollout", {}, {"selector": selector})) == "app=shop"
    assert pod_selector(make("apps.kruise.io/v1alpha1", "CloneSet", {}, {"selector": selector})) == "app=shop"
    plain = {"selector": {"app": "shop"}}
    assert pod_selector(make("apps.openshift.io/v1", "DeploymentConfig", {}, plain)) == "app=shop"
