"""Kinds of Kubernetes itself that are no workloads: each has the sign that its own controller gives."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from app.engine.readiness.verdict import (
    READY,
    Object,
    Readiness,
    condition_of,
    condition_true,
    failed,
    first_not_ready,
    observed_generation,
    spec_of,
    status_of,
    told,
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
    """A pod is ready, or has done its work."""
    status = status_of(obj)
    if status.get("phase") == "Failed":
        return failed(f"the pod failed: {status.get('message') or status.get('reason') or 'no reason given'}")
    return READY if status.get("phase") == "Succeeded" else condition_true(obj, "Ready")


def persistent_volume_claim(obj: Object) -> Readiness:
    """A claim is bound, and as large as it asks for."""
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
            return waiting(f"condition {name} is True ({told(condition_of(obj, name)) or 'the volume grows'})")
    asked = members(members(spec_of(obj).get("resources")).get("requests")).get("storage")
    given = members(status.get("capacity")).get("storage")
    if given is not None and _quantity(given) < _quantity(asked):
        return waiting(f"the volume has {given}, {asked} are asked for")
    return READY


def _quantity(text: object) -> Decimal:
    """Return a Kubernetes quantity as a number; zero when it is none."""
    whole = str(text if text is not None else "")
    digits = whole.rstrip("numkMGTPEi")
    try:
        return Decimal(digits) * _FACTORS[whole[len(digits) :]]
    except (InvalidOperation, KeyError):
        return Decimal(0)


def persistent_volume(obj: Object) -> Readiness:
    """A volume can be, or is, claimed."""
    status = status_of(obj)
    if status.get("phase") == "Failed":
        return failed(f"the volume failed: {status.get('message') or status.get('reason') or 'no reason given'}")
    return _phase(obj, "Available", "Bound")


def service(obj: Object) -> Readiness:
    """A Service of type LoadBalancer has an address; any other works as soon as it exists."""
    return READY if spec_of(obj).get("type") != "LoadBalancer" else load_balanced(obj)


def load_balanced(obj: Object) -> Readiness:
    """The load balancer of a Service or an Ingress has an address."""
    ingress = items(members(status_of(obj).get("loadBalancer")).get("ingress"))
    return READY if ingress else waiting("the load balancer has no ingress address yet")


def namespace(obj: Object) -> Readiness:
    """A Namespace is not being deleted."""
    return _phase(obj, "Active")


def custom_resource_definition(obj: Object) -> Readiness:
    """Its names are free and its kind is served."""
    names = condition_of(obj, "NamesAccepted")
    if names.get("status") == "False":
        return failed(f"names are not accepted: {names.get('message', '')}")
    return condition_true(obj, "Established")


def api_service(obj: Object) -> Readiness:
    """The server behind it answers."""
    return condition_true(obj, "Available")


def node(obj: Object) -> Readiness:
    """The kubelet says that the node is ready."""
    return condition_true(obj, "Ready")


def horizontal_pod_autoscaler(obj: Object) -> Readiness:
    """It finds its target and its metrics, or was told not to scale."""
    active = condition_of(obj, "ScalingActive")
    disabled = active.get("status") == "False" and active.get("reason") == "ScalingDisabled"
    return first_not_ready(
        condition_true(obj, "AbleToScale"), READY if disabled else condition_true(obj, "ScalingActive")
    )


def pod_disruption_budget(obj: Object) -> Readiness:
    """Its controller has counted the pods for the present spec."""
    unseen = "the PodDisruptionBudget is not observed by its controller yet"
    return waiting(unseen) if observed_generation(obj) is None else READY


def resource_quota(obj: Object) -> Readiness:
    """What is enforced is what the spec says."""
    wanted, enforced = members(spec_of(obj).get("hard")), members(status_of(obj).get("hard"))
    missing = sorted(key for key in wanted if key not in enforced or not _same(wanted[key], enforced[key]))
    return waiting(f"the quota is not enforced yet for {', '.join(missing)}") if missing else READY


def _same(one: object, other: object) -> bool:
    return one == other or (_quantity(one) == _quantity(other) != 0)


def certificate_signing_request(obj: Object) -> Readiness:
    """The certificate is issued."""
    for name in ("Denied", "Failed"):
        if condition_of(obj, name).get("status") == "True":
            return failed(f"the request is {name.lower()}: {told(condition_of(obj, name))}")
    return READY if status_of(obj).get("certificate") else waiting("no certificate is issued yet")


def volume_attachment(obj: Object) -> Readiness:
    """The volume is attached."""
    status = status_of(obj)
    if status.get("attached") is True:
        return READY
    problem = members(status.get("attachError")).get("message")
    return waiting(f"the volume is not attached yet{f' ({problem})' if problem else ''}")


def _phase(obj: Object, *wanted: str) -> Readiness:
    phase = status_of(obj).get("phase")
    return READY if phase in wanted else waiting(f"phase is {phase or 'not set'}, expected {' or '.join(wanted)}")
