"""Workloads: rolled out by the rules of `kubectl rollout status`, and nothing left that should be gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.engine.readiness.verdict import (
    READY,
    Object,
    Readiness,
    condition_of,
    enough,
    failed,
    number,
    observed_generation,
    spec_of,
    status_of,
    waiting,
)
from app.models.stored import items, members


def deployment(obj: Object) -> Readiness:
    """All replicas are of the newest template and available, and none is left that is too many."""
    spec, status = spec_of(obj), status_of(obj)
    verdict = _rolled_out(obj, spec, status)
    progressing = condition_of(obj, "Progressing")
    if verdict.ready or progressing.get("reason") != "ProgressDeadlineExceeded":
        return verdict
    reason = f"ProgressDeadlineExceeded: {progressing.get('message', '')}"
    if spec.get("paused") is True or _said_before(progressing, _written(obj)):
        return waiting(f"{verdict.reason} (the rollout before it had {reason})")
    return failed(reason)


def _said_before(condition: Mapping[str, Any], written: str) -> bool:
    """Tell whether a condition, which has no generation, is not younger than the spec. Times are RFC 3339 in UTC."""
    said = condition.get("lastUpdateTime")
    return isinstance(said, str) and said <= written


def _written(obj: Object) -> str:
    """Return when somebody last changed the spec, as far as its managers tell; empty when they do not."""
    entries = [members(entry) for entry in items(members(obj.get("metadata")).get("managedFields"))]
    return max(
        (str(entry.get("time", "")) for entry in entries if "f:spec" in members(entry.get("fieldsV1"))), default=""
    )


def _rolled_out(obj: Object, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    """As `kubectl rollout status` sees it, apart from how long it may take."""
    wanted, updated = number(spec, "replicas", 1), number(status, "updatedReplicas")
    if observed_generation(obj) is None:
        return waiting("the Deployment is not observed by its controller yet")
    if updated < wanted:
        paused = " (the Deployment is paused)" if spec.get("paused") is True else ""
        return waiting(f"{updated} of {wanted} new replicas have been updated{paused}")
    if (old := number(status, "replicas") - updated) > 0:
        return waiting(f"{old} old replicas are pending termination")
    return _none_too_many(obj, wanted) or enough(
        number(status, "availableReplicas"), updated, "updated replicas are available"
    )


def stateful_set(obj: Object) -> Readiness:
    """All pods are there, ready and of the newest revision as far as the strategy says, and none is too many."""
    spec, status = spec_of(obj), status_of(obj)
    if not observed_generation(obj):
        return waiting("the StatefulSet is not observed by its controller yet")
    wanted, ready = number(spec, "replicas", 1), number(status, "readyReplicas")
    if ready < wanted:
        return waiting(f"{ready} of {wanted} pods are ready")
    if too_many := _none_too_many(obj, wanted):
        return too_many
    if number(spec, "minReadySeconds") and (available := number(status, "availableReplicas")) < wanted:
        return waiting(f"{available} of {wanted} pods are available")
    strategy = members(spec.get("updateStrategy"))
    if strategy.get("type") == "OnDelete":
        return READY
    partition = number(members(strategy.get("rollingUpdate")), "partition")
    if partition > 0:
        return enough(number(status, "updatedReplicas"), wanted - partition, "pods of the partition are updated")
    if status.get("updateRevision") != status.get("currentRevision"):
        return waiting(
            f"{number(status, 'updatedReplicas')} of {wanted} pods are at revision {status.get('updateRevision')}"
        )
    return READY


def daemon_set(obj: Object) -> Readiness:
    """Every node that should have a pod has an available one of the newest template."""
    status = status_of(obj)
    if observed_generation(obj) is None:
        return waiting("the DaemonSet is not observed by its controller yet")
    wanted = number(status, "desiredNumberScheduled")
    on_delete = members(spec_of(obj).get("updateStrategy")).get("type") == "OnDelete"
    if not on_delete and (updated := number(status, "updatedNumberScheduled")) < wanted:
        return waiting(f"{updated} of {wanted} new pods have been updated")
    return enough(number(status, "numberAvailable"), wanted, "pods are available")


def replica_set(obj: Object) -> Readiness:
    """All replicas are available, and none is too many."""
    if observed_generation(obj) is None:
        return waiting(f"the {obj.get('kind')} is not observed by its controller yet")
    wanted = number(spec_of(obj), "replicas", 1)
    return _none_too_many(obj, wanted) or enough(
        number(status_of(obj), "availableReplicas"), wanted, "replicas are available"
    )


def _none_too_many(obj: Object, wanted: int) -> Readiness | None:
    """Return what is left of replicas that should be gone; None when nothing is, as far as the status tells."""
    status = status_of(obj)
    if (surplus := number(status, "replicas") - wanted) > 0:
        return waiting(f"{surplus} more replicas than the {wanted} wanted still exist")
    if (terminating := number(status, "terminatingReplicas")) > 0:
        return waiting(f"{terminating} replicas are still terminating")
    return None
