"""Kinds of well-known extensions whose own sign is another than the conditions Ready and Available.

Each rule follows what the project documents as the state that its users wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.engine.readiness.verdict import (
    READY,
    Object,
    Readiness,
    condition_is,
    condition_of,
    condition_text,
    condition_true,
    failed,
    find_condition,
    first_not_ready,
    observed_generation,
    spec_of,
    status_of,
    waiting,
)
from app.models.stored import items, members

Rule = Callable[[Object], Readiness]


def _by_member(member: str, *wanted: str, never: tuple[str, ...] = ()) -> Rule:
    """Return a rule by one text of the status, such as `phase`; `never` are the values it does not recover from."""

    def rule(obj: Object) -> Readiness:
        status = status_of(obj)
        value = status.get(member)
        if value in wanted:
            return READY
        detail = _detail(status)
        state = f"status.{member} is {value or 'not set'}"
        if value in never:
            return failed(f"{state}{detail}")
        return waiting(f"{state}, expected {' or '.join(wanted)}{detail}")

    return rule


def _detail(status: Mapping[str, Any]) -> str:
    texts = [str(status[key]) for key in ("failureReason", "reason", "message") if isinstance(status.get(key), str)]
    errors = items(status.get("validationErrors"))
    found = next((text for text in [*texts, *map(str, errors)] if text), "")
    return f" ({found})" if found else ""


def _by_conditions(*names: str) -> Rule:
    def rule(obj: Object) -> Readiness:
        return first_not_ready(*(condition_true(obj, name) for name in names))

    return rule


def _succeeded(obj: Object) -> Readiness:
    """Tekton's runs: the condition Succeeded is False only when they are over."""
    condition = condition_of(obj, "Succeeded")
    if condition.get("status") == "False":
        return failed(f"the run failed ({condition_text(condition) or 'no reason given'})")
    return condition_true(obj, "Succeeded")


def _rollout(obj: Object) -> Readiness:
    if observed_generation(obj) is None:
        return waiting("the Rollout is not observed by its controller yet")
    return _by_member("phase", "Healthy")(obj)


def _observed(obj: Object) -> Readiness:
    """Judge an object by its generation: the controller has taken up the present spec, and says nothing else."""
    unseen = f"the {obj.get('kind')} is not observed by its controller yet"
    return waiting(unseen) if observed_generation(obj) is None else READY


def _virtual_machine(obj: Object) -> Readiness:
    """KubeVirt: running and ready, or stopped where the spec wants it so."""
    spec = spec_of(obj)
    if spec.get("runStrategy") == "Halted" or spec.get("running") is False:
        return _by_member("printableStatus", "Stopped")(obj)
    return condition_true(obj, "Ready")


def _volume_replication(obj: Object) -> Readiness:
    """CSI Addons: the volume has taken the role that the spec wants."""
    role = str(spec_of(obj).get("replicationState") or "").capitalize()
    wanted = {"Resync": "Secondary"}.get(role, role)
    return first_not_ready(condition_true(obj, "Completed"), _by_member("state", wanted)(obj))


def _compared(obj: Object) -> bool:
    """Tell whether the sync status of an Argo CD Application is about the sources of the present spec."""
    sync, spec = members(status_of(obj).get("sync")), spec_of(obj)
    to = members(sync.get("comparedTo"))
    return not to or all(_filled(to.get(name)) == _filled(spec.get(name)) for name in ("source", "sources"))


def _filled(value: object) -> object:
    """Return a value without empty members, which some writers leave out."""
    if isinstance(value, dict):
        kept = {key: _filled(member) for key, member in value.items()}
        return {key: member for key, member in kept.items() if member not in (None, "", False, 0, {}, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value or None


def _application(obj: Object) -> Readiness:
    status = status_of(obj)
    if not _compared(obj):
        return waiting("status.sync is about a source other than the one of the spec")
    health, sync = members(status.get("health")).get("status"), members(status.get("sync")).get("status")
    if sync != "Synced":
        return waiting(f"status.sync.status is {sync or 'not set'}, expected Synced")
    return READY if health == "Healthy" else waiting(f"status.health.status is {health or 'not set'}, expected Healthy")


def _route(obj: Object) -> Readiness:
    """Judge a route of the Gateway API: every parent has accepted it and resolved its references."""
    parents = [members(parent) for parent in items(status_of(obj).get("parents"))]
    wanted = [_parent(obj, ref) for ref in items(spec_of(obj).get("parentRefs"))]
    if wanted:
        parents = [parent for parent in parents if _parent(obj, parent.get("parentRef")) in wanted]
    if not parents:
        return waiting("no parent has accepted the route yet")
    if missing := [ref for ref in wanted if ref not in [_parent(obj, parent.get("parentRef")) for parent in parents]]:
        return waiting(f"parent {missing[0][3]} has not accepted the route yet")
    verdicts = [
        condition_is(obj, find_condition(parent.get("conditions"), name), name)
        for parent in parents
        for name in ("Accepted", "ResolvedRefs")
    ]
    return first_not_ready(*verdicts)


def _parent(obj: Object, ref: object) -> tuple[Any, ...]:
    """Return which parent a reference of a route names, with what the API takes for absent members."""
    ref = members(ref)
    namespace = ref.get("namespace") or members(obj.get("metadata")).get("namespace")
    group = ref.get("group", "gateway.networking.k8s.io")
    return group, ref.get("kind") or "Gateway", namespace, ref.get("name"), ref.get("sectionName"), ref.get("port")


def _snapshot(obj: Object) -> Readiness:
    status = status_of(obj)
    if status.get("readyToUse") is True:
        return READY
    problem = members(status.get("error")).get("message")
    return waiting(f"status.readyToUse is not true yet{f' ({problem})' if problem else ''}")


_VELERO_FAILED = ("Failed", "PartiallyFailed", "FailedValidation", "Canceled")
_VELERO = _by_member("phase", "Completed", never=_VELERO_FAILED)
_PACKAGES = ("Provider", "Configuration", "Function")
_CEPH = _by_member("phase", "Ready")

RULES: Mapping[tuple[str, str], Rule] = {
    **{
        ("velero.io", kind): _VELERO
        for kind in ("Backup", "Restore", "PodVolumeBackup", "PodVolumeRestore", "DataUpload", "DataDownload")
    },
    ("velero.io", "BackupStorageLocation"): _by_member("phase", "Available"),
    ("velero.io", "BackupRepository"): _by_member("phase", "Ready"),
    **{
        ("velero.io", kind): _by_member("phase", "Processed")
        for kind in ("DeleteBackupRequest", "DownloadRequest", "ServerStatusRequest")
    },
    ("velero.io", "Schedule"): _by_member("phase", "Enabled", never=("FailedValidation",)),
    ("snapshot.storage.k8s.io", "VolumeSnapshot"): _snapshot,
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"): _snapshot,
    ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshot"): _snapshot,
    ("replication.storage.openshift.io", "VolumeReplication"): _volume_replication,
    ("kubevirt.io", "VirtualMachine"): _virtual_machine,
    ("externaldns.k8s.io", "DNSEndpoint"): _observed,
    **{("pkg.crossplane.io", kind): _by_conditions("Installed", "Healthy") for kind in _PACKAGES},
    ("apiextensions.crossplane.io", "CompositeResourceDefinition"): _by_conditions("Established"),
    ("operators.coreos.com", "ClusterServiceVersion"): _by_member("phase", "Succeeded"),
    ("rabbitmq.com", "RabbitmqCluster"): _by_conditions("AllReplicasReady", "ClusterAvailable", "ReconcileSuccess"),
    ("pxc.percona.com", "PerconaXtraDBCluster"): _by_member("state", "ready"),
    ("psmdb.percona.com", "PerconaServerMongoDB"): _by_member("state", "ready"),
    ("argoproj.io", "Application"): _application,
    ("argoproj.io", "Rollout"): _rollout,
    ("argoproj.io", "Workflow"): _by_member("phase", "Succeeded", never=("Failed", "Error")),
    ("tekton.dev", "PipelineRun"): _succeeded,
    ("tekton.dev", "TaskRun"): _succeeded,
    ("gateway.networking.k8s.io", "GatewayClass"): _by_conditions("Accepted"),
    ("gateway.networking.k8s.io", "Gateway"): _by_conditions("Accepted", "Programmed"),
    **{
        ("gateway.networking.k8s.io", kind): _route
        for kind in ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute")
    },
    ("postgresql.cnpg.io", "Backup"): _by_member("phase", "completed", never=("failed",)),
    ("acid.zalan.do", "postgresql"): _by_member("PostgresClusterStatus", "Running"),
    ("mongodbcommunity.mongodb.com", "MongoDBCommunity"): _by_member("phase", "Running"),
    ("elasticsearch.k8s.elastic.co", "Elasticsearch"): _by_member("phase", "Ready"),
    **{("ceph.rook.io", kind): _CEPH for kind in ("CephCluster", "CephBlockPool", "CephFilesystem", "CephObjectStore")},
    ("apps.clusternet.io", "HelmChart"): _by_member("phase", "Found"),
    ("apps.clusternet.io", "HelmRelease"): _by_member("phase", "deployed", never=("failed",)),
}
"""By group and kind."""
