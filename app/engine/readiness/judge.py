"""The rule of each kind, and the one for all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.engine.readiness import builtin, extensions
from app.engine.readiness.jobs import job
from app.engine.readiness.verdict import (
    READY,
    Object,
    Readiness,
    condition_is,
    condition_of,
    condition_true,
    failed,
    first_not_ready,
    over,
    stale,
    status_of,
    waiting,
)
from app.engine.readiness.workloads import daemon_set, deployment, replica_set, stateful_set
from app.models.stored import items, members

_RULES: Mapping[tuple[str, str], Callable[[Object], Readiness]] = {
    ("apps", "Deployment"): deployment,
    ("apps", "StatefulSet"): stateful_set,
    ("apps", "DaemonSet"): daemon_set,
    ("apps", "ReplicaSet"): replica_set,
    ("", "ReplicationController"): replica_set,
    ("batch", "Job"): job,
    ("batch", "CronJob"): builtin.exists,
    ("", "Pod"): builtin.pod,
    ("", "PersistentVolumeClaim"): builtin.persistent_volume_claim,
    ("", "PersistentVolume"): builtin.persistent_volume,
    ("", "Service"): builtin.service,
    ("", "Namespace"): builtin.namespace,
    ("", "Node"): builtin.node,
    ("", "ResourceQuota"): builtin.resource_quota,
    ("networking.k8s.io", "Ingress"): builtin.load_balanced,
    ("networking.k8s.io", "NetworkPolicy"): builtin.exists,
    ("autoscaling", "HorizontalPodAutoscaler"): builtin.horizontal_pod_autoscaler,
    ("policy", "PodDisruptionBudget"): builtin.pod_disruption_budget,
    ("certificates.k8s.io", "CertificateSigningRequest"): builtin.certificate_signing_request,
    ("certificates.k8s.io", "PodCertificateRequest"): builtin.certificate_signing_request,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): builtin.validating_admission_policy,
    ("storagemigration.k8s.io", "StorageVersionMigration"): builtin.storage_version_migration,
    ("storage.k8s.io", "VolumeAttachment"): builtin.volume_attachment,
    ("resource.k8s.io", "ResourceClaim"): builtin.exists,
    ("resource.k8s.io", "DeviceTaintRule"): builtin.exists,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): builtin.flow_schema,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): builtin.exists,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): builtin.custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): builtin.api_service,
    **extensions.RULES,
}

_DONE = ("NewReplicaSetAvailable", "RolloutComplete", "Completed")
"""Reasons of kinds that, as a Deployment does, let Progressing stay True when all is done."""
_MOST_NAMED = 5


def is_ready(obj: Object, *, reports_status: bool = True) -> Readiness:
    """Whether `obj` is ready by the rules of its kind.

    `reports_status` tells whether the API serves a status of that kind. Where it does not, and there is none in the
    object either, nobody is there to report, and the object is ready as it is.
    """
    current = is_current(obj)
    if not current.ready:
        return current
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get((group, str(obj.get("kind", ""))))
    if rule is not None:
        return rule(obj)
    if not reports_status and not status_of(obj):
        return READY
    return _by_conditions(obj)


def is_current(obj: Object) -> Readiness:
    """Whether the status, as far as it says so, is about the present spec of an object that stays."""
    if members(obj.get("metadata")).get("deletionTimestamp"):
        return waiting("the object is being deleted")
    problem = stale(obj, status_of(obj))
    return waiting(problem) if problem else READY


def meets_condition(obj: Object, name: str) -> Readiness:
    """Whether the condition called `name` is True, of the present generation."""
    current = is_current(obj)
    return condition_true(obj, name) if current.ready else current


def _by_conditions(obj: Object) -> Readiness:
    """Judge a kind that has no rule by the conditions that most controllers write.

    At least one of Ready and Available must be there; each that is there must be True. Stalled means that waiting is
    pointless; Reconciling, Progressing and a Synced or Reconciled that is not True that the present spec is still
    being worked on.
    """
    if reason := over(obj, "Stalled"):
        return failed(f"condition Stalled is True ({reason})")
    positive = [name for name in ("Ready", "Available") if condition_of(obj, name)]
    if not positive:
        return waiting(_silence(obj))
    verdicts = [condition_true(obj, name) for name in positive]
    verdicts += [condition_true(obj, name) for name in ("Synced", "Reconciled") if condition_of(obj, name)]
    for name in ("Reconciling", "Progressing"):
        working = condition_of(obj, name)
        if working and working.get("reason") not in _DONE:
            verdicts.append(condition_is(obj, working, name, wanted="False"))
    return first_not_ready(*verdicts)


def _silence(obj: Object) -> str:
    """Say that nobody calls the object ready, and what its status has instead."""
    status = status_of(obj)
    kind = obj.get("kind") or "object"
    if not status:
        return f"it has no status yet: does the controller of kind {kind} run?"
    told = [f"status.{key} is {status[key]}" for key in ("phase", "state") if isinstance(status.get(key), str)]
    types = [str(members(condition).get("type")) for condition in items(status.get("conditions"))]
    told += [f"it has {', '.join(types[:_MOST_NAMED])}"] if types else []
    has = f" ({'; '.join(told)})" if told else ""
    return (
        f"its status has no condition Ready or Available{has}; if kind {kind} tells its readiness otherwise, "
        "say how by readyWhen"
    )
