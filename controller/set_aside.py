"""Objects that are left alone until they change, because looking at them fails: told by Event, condition and metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.engine.conditions import set_condition
from app.engine.text import cut
from app.kube.errors import KubeError
from app.kube.resources import Resource
from app.models.meta import Condition, ObjectMeta
from app.models.names import CONDITION_SET_ASIDE
from app.models.stored import items, members
from app.rules.findings import Report
from app.runtime import metrics
from app.runtime.logging import get_logger
from controller.services import Services
from controller.status_put import put_status
from controller.validation import SET_ASIDE

log = get_logger(__name__)


def tell_set_aside(services: Services, stored: Mapping[str, Any], report: Report) -> None:
    """Emit an Event about an object that nobody could judge; its condition Ready says the same."""
    for finding in report.errors:
        if finding.rule == SET_ASIDE:
            services.recorder.emit(stored, "Warning", SET_ASIDE, finding.message, action="Validate")


def tell_left_alone(services: Services, resource: Resource, stored: Mapping[str, Any], message: str) -> None:
    """Count, and tell by an Event, that an object is left alone."""
    metrics.set_aside_total.labels(resource.kind).inc()
    services.recorder.emit(stored, "Warning", SET_ASIDE, message, action="Reconcile")


async def set_aside(
    services: Services,
    resource: Resource,
    stored: Mapping[str, Any],
    message: str,
    reason: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Say in the conditions of an object that it is left alone; `more` are further members of its status.

    The status is not decoded: it may be what ails the object.
    """
    try:
        # read afresh: the whole status is written, and the cache does not have all of it
        fresh = await services.kube.get(
            resource, stored["metadata"]["name"], namespace=stored["metadata"].get("namespace")
        )
        metadata, status = ObjectMeta.from_wire(fresh["metadata"]), members(fresh.get("status"))
        known = tuple(map(Condition.from_wire, items(status.get("conditions"))))
        conditions = set_condition(
            known, CONDITION_SET_ASIDE, "True", reason, cut(message), services.now(), metadata.generation
        )
        written = {**status, **(more or {}), "conditions": [each.to_wire() for each in conditions]}
        if written != status:
            await put_status(services.kube, resource, metadata, written)
    except (KubeError, ValueError) as failed:
        log.warning("the condition of an object that is set aside was not written", error=str(failed))


def failing(error: Exception) -> str:
    """Return what is said of an object that looking at crashed again and again, in a way that nobody foresaw."""
    return f"The controller fails at this object and leaves it alone until it changes: {type(error).__name__}"
