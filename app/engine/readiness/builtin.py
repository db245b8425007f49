"""Kinds of Kubernetes itself that are no workloads: each has the sign that its own controller gives."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

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
    over,
    spec_of,
    stale,
    status_of,
    waiting,
)
from app.models.stored import items, members

_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}


def exists(obj: Object) -> Readiness:
    """Nobody reports anything that would make it more ready than it is."""
    del obj
    return READY


def pod(obj: Object) -> Readiness:
    """Judge a pod: it is ready, or has done its work."""
    status = status_of(obj)
    if status.get("phase") == "Failed":
        return failed(f"the pod failed: {status.get('message') or status.get('reason') or 'no reason given'}")
    return READY if status.get("phase") == "Succeeded" else condition_true(obj, "Ready")


def persistent_volume_claim(obj: Object) -> Readiness:
    """Judge a claim: it is bound, and as large as it asks for."""
    status = status_of(obj)
    phase = status.get("phase")
    if phase == "Lost":
        return failed("the claim has lost its volume")
    if phase != "Bound":
        return waiting(
            f"phase is {phase or 'not set'}, expected Bound (with volumeBindingMode WaitForFirstConsumer a claim is "
            "bound only once a Pod uses it)"
        )
    for name in ("Resizing", "FileSystemResizePending"):
        if condition_of(obj, name).get("status") == "True":
            return waiting(
                f"condition {name} is True ({condition_text(condition_of(obj, name)) or 'the volume grows'})"
            )
    asked = members(members(spec_of(obj).get("resources")).get("requests")).get("storage")
    given = members(status.get("capacity")).get("storage")
    if given is not None and _quantity(given) < _quantity(asked):
        return waiting(f"the volume has {given}, {asked} are asked for")
    return _attributes_class(obj)


def _attributes_class(obj: Object) -> Readiness:
    """Judge a claim by its class: the volume has the attributes of the class that it names."""
    wanted = spec_of(obj).get("volumeAttributesClassName")
    has = status_of(obj).get("currentVolumeAttributesClassName")
    if not wanted or wanted == has:
        return READY
    return waiting(f"the volume is of VolumeAttributesClass {has or 'none'}, {wanted} is asked for")


def _quantity(text: object) -> Decimal:
    """Return a Kubernetes quantity as a number; zero when it is none."""
    whole = str(text if text is not None else "")
    digits = whole.rstrip("numkMGTPEi")
    try:
        return Decimal(digits) * _FACTORS[whole[len(digits) :]]
    except (InvalidOperation, KeyError):
        return Decimal(0)


def persistent_volume(obj: Object) -> Readiness:
    """Judge a volume: it can be, or is, claimed."""
    status = status_of(obj)
    if status.get("phase") == "Failed":
        return failed(f"the volume failed: {status.get('message') or status.get('reason') or 'no reason given'}")
    return _phase(obj, "Available", "Bound")


def service(obj: Object) -> Readiness:
    """Judge a Service: one of type LoadBalancer has an address; any other works as soon as it exists."""
    return READY if spec_of(obj).get("type") != "LoadBalancer" else load_balanced(obj)


def load_balanced(obj: Object) -> Readiness:
    """Judge the load balancer of a Service or an Ingress: it has an address."""
    points = [members(each) for each in items(members(status_of(obj).get("loadBalancer")).get("ingress"))]
    if not any(each.get("ip") or each.get("hostname") for each in points):
        return waiting("the load balancer has no ingress address yet")
    for port in [members(port) for each in points for port in items(each.get("ports"))]:
        if port.get("error"):
            return waiting(f"the load balancer does not serve port {port.get('port')} ({port['error']})")
    return READY


def namespace(obj: Object) -> Readiness:
    """Judge a Namespace: it is not being deleted."""
    return _phase(obj, "Active")


def custom_resource_definition(obj: Object) -> Readiness:
    """Its names are free and its kind is served."""
    names = condition_of(obj, "NamesAccepted")
    if names.get("status") == "False" and not stale(obj, names):
        return failed(f"names are not accepted: {names.get('message', '')}")
    return condition_true(obj, "Established")


def api_service(obj: Object) -> Readiness:
    """Judge an APIService: the server behind it answers."""
    return condition_true(obj, "Available")


def node(obj: Object) -> Readiness:
    """Judge a node: its kubelet says that it is ready."""
    return condition_true(obj, "Ready")


def horizontal_pod_autoscaler(obj: Object) -> Readiness:
    """Judge an autoscaler: it finds its target and its metrics, or was told not to scale."""
    conditions = status_of(obj).get("conditions") or _conditions_of_v1(obj)
    able, active = find_condition(conditions, "AbleToScale"), find_condition(conditions, "ScalingActive")
    disabled = active.get("status") == "False" and active.get("reason") == "ScalingDisabled"
    return first_not_ready(
        condition_is(obj, able, "AbleToScale"), READY if disabled else condition_is(obj, active, "ScalingActive")
    )


def _conditions_of_v1(obj: Object) -> object:
    """Return the conditions of an autoscaler read as autoscaling/v1, which has them as JSON in an annotation."""
    annotations = members(members(obj.get("metadata")).get("annotations"))
    try:
        return json.loads(str(annotations.get("autoscaling.alpha.kubernetes.io/conditions")))
    except ValueError:
        return None


def pod_disruption_budget(obj: Object) -> Readiness:
    """Its controller has counted the pods for the present spec."""
    if observed_generation(obj) is None:
        return waiting("the PodDisruptionBudget is not observed by its controller yet")
    allowed = condition_of(obj, "DisruptionAllowed")
    if allowed.get("reason") == "SyncFailed":
        return waiting(f"its controller cannot tell which pods it is about ({condition_text(allowed)})")
    return READY


def resource_quota(obj: Object) -> Readiness:
    """Judge a quota: what is enforced is what the spec says."""
    wanted, enforced = members(spec_of(obj).get("hard")), members(status_of(obj).get("hard"))
    missing = sorted(key for key in wanted if key not in enforced or not _same(wanted[key], enforced[key]))
    return waiting(f"the quota is not enforced yet for {', '.join(missing)}") if missing else READY


def _same(one: object, other: object) -> bool:
    return one == other or (_quantity(one) == _quantity(other) != 0)


def certificate_signing_request(obj: Object) -> Readiness:
    """Judge a request for a certificate: it is issued."""
    for name in ("Denied", "Failed"):
        if reason := over(obj, name):
            return failed(f"the request is {name.lower()}: {reason}")
    status = status_of(obj)
    issued = status.get("certificate") or status.get("certificateChain")
    return READY if issued else waiting("no certificate is issued yet")


def validating_admission_policy(obj: Object) -> Readiness:
    """Its controller has checked the present expressions."""
    unseen = "the ValidatingAdmissionPolicy is not observed by its controller yet"
    return waiting(unseen) if observed_generation(obj) is None else READY


def storage_version_migration(obj: Object) -> Readiness:
    """Every object is stored anew."""
    if reason := over(obj, "Failed"):
        return failed(f"the migration failed: {reason}")
    return condition_true(obj, "Succeeded")


def flow_schema(obj: Object) -> Readiness:
    """Judge a FlowSchema: the priority level that it names is there."""
    return condition_is(obj, condition_of(obj, "Dangling"), "Dangling", wanted="False")


def volume_attachment(obj: Object) -> Readiness:
    """Judge an attachment: the volume is attached."""
    status = status_of(obj)
    if status.get("attached") is True:
        return READY
    problem = members(status.get("attachError")).get("message")
    return waiting(f"the volume is not attached yet{f' ({problem})' if problem else ''}")


def _phase(obj: Object, *wanted: str) -> Readiness:
    phase = status_of(obj).get("phase")
    return READY if phase in wanted else waiting(f"phase is {phase or 'not set'}, expected {' or '.join(wanted)}")
