"""When an object counts as ready, and how a Job ended.

The rules for workloads are those of `kubectl rollout status`; other built-in kinds have the one sign that people
look for; any other kind is judged by its `Ready` and `Available` conditions, and by its existence when it has
none. Objects come straight from the API server, so members may be absent; a controller that has not yet looked at the
newest generation makes an object not ready, whatever its status says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict on one object."""

    ready: bool
    failed: bool = False
    """True when waiting longer is pointless."""
    reason: str = ""
    """What is missing, or what went wrong; empty when ready."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How far a Job is."""

    finished: bool
    succeeded: bool = False
    reason: str = ""
    """The machine-readable reason of a failure, for example `BackoffLimitExceeded`."""
    message: str = ""
    """The Job controller's own words, or how many pods are done while it runs."""


_READY = Readiness(ready=True)


def is_ready(obj: Mapping[str, Any]) -> Readiness:
    """Whether `obj` is ready by the rules of its kind."""
    if _map(obj, "metadata").get("deletionTimestamp"):
        return _waiting("the object is being deleted")
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get((group, str(obj.get("kind", ""))), _by_conditions)
    observed, generation = _observed_generation(obj), _int(_map(obj, "metadata"), "generation")
    if observed is not None and observed < generation:
        return _waiting(f"generation {generation} is not observed yet, the status is of generation {observed}")
    return rule(obj)


def job_outcome(job: Mapping[str, Any]) -> JobOutcome:
    """Whether the Job has ended and how; only its Complete and Failed conditions decide."""
    failed = _condition(job, "Failed")
    if failed.get("status") == "True":
        return JobOutcome(True, False, str(failed.get("reason", "")), str(failed.get("message", "")))
    if _condition(job, "Complete").get("status") == "True":
        return JobOutcome(finished=True, succeeded=True)
    spec, status = _map(job, "spec"), _map(job, "status")
    if spec.get("suspend") is True:
        return JobOutcome(finished=False, message="the Job is suspended")
    progress = f"{_int(status, 'succeeded')} of {_int(spec, 'completions', 1)} pods completed"
    return JobOutcome(
        finished=False, message=f"{progress}, {_int(status, 'active')} active, {_int(status, 'failed')} failed"
    )


def _deployment(obj: Mapping[str, Any]) -> Readiness:
    spec, status = _map(obj, "spec"), _map(obj, "status")
    progressing = _condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return _failed(f"ProgressDeadlineExceeded: {progressing.get('message', '')}")
    wanted, updated = _int(spec, "replicas", 1), _int(status, "updatedReplicas")
    if _observed_generation(obj) is None:
        return _waiting("the Deployment is not observed by its controller yet")
    if updated < wanted:
        paused = " (the Deployment is paused)" if spec.get("paused") is True else ""
        return _waiting(f"{updated} of {wanted} new replicas have been updated{paused}")
    if (old := _int(status, "replicas") - updated) > 0:
        return _waiting(f"{old} old replicas are pending termination")
    return _enough(_int(status, "availableReplicas"), updated, "updated replicas are available")


def _stateful_set(obj: Mapping[str, Any]) -> Readiness:
    spec, status = _map(obj, "spec"), _map(obj, "status")
    if not _observed_generation(obj):
        return _waiting("the StatefulSet is not observed by its controller yet")
    wanted, ready = _int(spec, "replicas", 1), _int(status, "readyReplicas")
    if ready < wanted:
        return _waiting(f"{ready} of {wanted} pods are ready")
    strategy = _map(spec, "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return _READY
    partition = _int(_map(strategy, "rollingUpdate"), "partition")
    if partition > 0:
        return _enough(_int(status, "updatedReplicas"), wanted - partition, "pods of the partition are updated")
    if status.get("updateRevision") != status.get("currentRevision"):
        return _waiting(
            f"{_int(status, 'updatedReplicas')} of {wanted} pods are at revision {status.get('updateRevision')}"
        )
    return _READY


def _daemon_set(obj: Mapping[str, Any]) -> Readiness:
    status = _map(obj, "status")
    if _observed_generation(obj) is None:
        return _waiting("the DaemonSet is not observed by its controller yet")
    wanted = _int(status, "desiredNumberScheduled")
    on_delete = _map(_map(obj, "spec"), "updateStrategy").get("type") == "OnDelete"
    if not on_delete and (updated := _int(status, "updatedNumberScheduled")) < wanted:
        return _waiting(f"{updated} of {wanted} new pods have been updated")
    return _enough(_int(status, "numberAvailable"), wanted, "pods are available")


def _replica_set(obj: Mapping[str, Any]) -> Readiness:
    if _observed_generation(obj) is None:
        return _waiting(f"the {obj.get('kind')} is not observed by its controller yet")
    wanted = _int(_map(obj, "spec"), "replicas", 1)
    return _enough(_int(_map(obj, "status"), "availableReplicas"), wanted, "replicas are available")


def _job(obj: Mapping[str, Any]) -> Readiness:
    outcome = job_outcome(obj)
    if not outcome.finished:
        return _waiting(outcome.message)
    return _READY if outcome.succeeded else _failed(f"{outcome.reason}: {outcome.message}")


def _pod(obj: Mapping[str, Any]) -> Readiness:
    status = _map(obj, "status")
    if status.get("phase") == "Failed":
        return _failed(f"the pod failed: {status.get('message') or status.get('reason') or 'no reason given'}")
    return _READY if status.get("phase") == "Succeeded" else _condition_true(obj, "Ready")


def _persistent_volume_claim(obj: Mapping[str, Any]) -> Readiness:
    phase = _map(obj, "status").get("phase")
    if phase == "Lost":
        return _failed("the claim has lost its volume")
    return _READY if phase == "Bound" else _waiting(f"phase is {phase or 'not set'}, expected Bound")


def _service(obj: Mapping[str, Any]) -> Readiness:
    if _map(obj, "spec").get("type") != "LoadBalancer":
        return _READY
    ingress = _map(_map(obj, "status"), "loadBalancer").get("ingress")
    return _READY if ingress else _waiting("the load balancer has no ingress address yet")


def _namespace(obj: Mapping[str, Any]) -> Readiness:
    phase = _map(obj, "status").get("phase")
    return _READY if phase == "Active" else _waiting(f"phase is {phase or 'not set'}, expected Active")


def _custom_resource_definition(obj: Mapping[str, Any]) -> Readiness:
    names = _condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return _failed(f"names are not accepted: {names.get('message', '')}")
    return _condition_true(obj, "Established")


def _api_service(obj: Mapping[str, Any]) -> Readiness:
    return _condition_true(obj, "Available")


def _by_conditions(obj: Mapping[str, Any]) -> Readiness:
    present = [name for name in ("Ready", "Available") if _condition(obj, name)]
    verdicts = (_condition_true(obj, name) for name in present)
    return next((verdict for verdict in verdicts if not verdict.ready), _READY)


_RULES: dict[tuple[str, str], Callable[[Mapping[str, Any]], Readiness]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("", "ReplicationController"): _replica_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _persistent_volume_claim,
    ("", "Service"): _service,
    ("", "Namespace"): _namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
}


def _waiting(reason: str) -> Readiness:
    return Readiness(ready=False, reason=reason)


def _failed(reason: str) -> Readiness:
    return Readiness(ready=False, failed=True, reason=reason)


def _enough(found: int, wanted: int, what: str) -> Readiness:
    return _READY if found >= wanted else _waiting(f"{found} of {wanted} {what}")


def _condition_true(obj: Mapping[str, Any], name: str) -> Readiness:
    condition = _condition(obj, name)
    if condition.get("status") == "True":
        return _READY
    detail = ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
    state = f"condition {name} is {condition['status']}" if condition.get("status") else f"no condition {name} yet"
    return _waiting(f"{state} ({detail})" if detail else state)


def _condition(obj: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The condition called `name`; empty when there is none."""
    conditions = _map(obj, "status").get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("type") == name:
            return condition
    return {}


def _observed_generation(obj: Mapping[str, Any]) -> int | None:
    observed = _map(obj, "status").get("observedGeneration")
    return observed if isinstance(observed, int) else None


def _map(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _int(parent: Mapping[str, Any], key: str, default: int = 0) -> int:
    value = parent.get(key)
    return value if isinstance(value, int) else default
