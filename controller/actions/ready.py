"""Waiting until an object is ready, and until what should be gone with it is gone (decision A8)."""

from __future__ import annotations

import asyncio
from typing import Any

from app.cel.ready import ReadyWhen
from app.engine.readiness import Readiness, is_ready, lingering_pods, pod_selector
from app.engine.text import MASK
from app.kube.errors import KubeError, is_transient
from app.kube.resources import PODS, Resource
from app.kube.secrecy import holds_secret, is_secret
from controller.actions.base import ActionContext
from controller.actions.objects import Target, find
from controller.actions.ownership import JsonObject, uid_of
from controller.actions.waiting import Pending, Seen, WaitTimeoutError, wait_for

PODS_SECONDS = 1.0
"""Between two looks at pods that are still terminating."""

_SCHEMA_SECONDS = 1.0
_LOOKS_AT_SCHEMA = 5
"""The schema of a kind that was just made is published a moment later; of some aggregated kinds there never is one."""

_DEPENDANTS = ("apps", "batch")
"""Built-in groups whose objects have pods, which a deletion has to wait for as well."""


async def wait_ready(context: ActionContext, target: Target, uid: str, ready_when: ReadyWhen | None) -> str:
    """Wait until the object with that UID is ready; return why it never will be, or empty text once it is.

    `ready_when` takes the place of the rule of the kind. Pods of a workload that should be gone are waited for, too.
    Raises WaitTimeoutError.
    """
    seen_last: list[JsonObject] = []
    reports_status = await _reports_status(context, target.resource)

    def judge(seen: Seen) -> str | Pending:
        if seen.obj is None or not seen.exists:
            return Pending("it does not exist")
        if uid and uid_of(seen.obj) != uid:
            return f"it was deleted and made anew by somebody else (uid {uid_of(seen.obj)}, this run's was {uid})"
        seen_last[:] = [seen.obj]
        verdict = verdict_on(target, seen.obj, ready_when, reports_status=reports_status)
        if verdict.ready:
            return ""
        return verdict.reason if verdict.failed else Pending(verdict.reason)

    problem = await wait_for(
        context.kube, target.resource, target.namespace or None, target.name, judge, deadline=context.deadline
    )
    if not problem:
        await _drained(context, target.namespace, seen_last[0])
    return problem


async def _reports_status(context: ActionContext, resource: Resource) -> bool:
    """Tell whether somebody can be expected to write a status: some extensions have one without serving it apart."""
    if resource.reports_status or "." not in resource.group or resource.group.endswith(".k8s.io"):
        return resource.reports_status
    for _ in range(_LOOKS_AT_SCHEMA):
        described = await context.kube.describes_status(resource)
        if described is not None:
            return described
        await asyncio.sleep(min(_SCHEMA_SECONDS, context.remaining()))
    return False


def verdict_on(target: Target, obj: JsonObject, ready_when: ReadyWhen | None, *, reports_status: bool) -> Readiness:
    """Return whether an object is ready as it is; `ready_when` takes the place of the rule of its kind."""
    if ready_when is not None:
        return ready_when.judge(_without_values(target, obj))
    return is_ready(obj, reports_status=reports_status)


async def why_not_ready(context: ActionContext, target: Target, ready_when: ReadyWhen | None) -> str:
    """Look once whether an object is there and ready; return why it is not, empty when it is. Raises `KubeError`."""
    obj = await find(context, target)
    if obj is None:
        return "it does not exist"
    reports_status = ready_when is None and await _reports_status(context, target.resource)
    verdict = verdict_on(target, obj, ready_when, reports_status=reports_status)
    if not verdict.ready:
        return verdict.reason
    selector = pod_selector(obj)
    return await _lingering(context, target.namespace, selector, obj) if selector else ""


def _without_values(target: Target, obj: JsonObject) -> JsonObject:
    """Return the object as an expression may see it: its writer may not read the Secrets that the controller may."""
    if not is_secret(target.resource, obj):
        return obj
    itself = is_secret(target.resource) or obj.get("kind") == "Secret"
    hidden: JsonObject = {
        member: dict.fromkeys(value, MASK) if itself and isinstance(value, dict) else MASK
        for member, value in obj.items()
        if (itself and member in ("data", "stringData") and value) or (member != "metadata" and holds_secret(value))
    }
    return {**obj, **hidden, "metadata": {**(obj.get("metadata") or {}), "managedFields": [], "annotations": {}}}


async def _drained(context: ActionContext, namespace: str, workload: JsonObject) -> None:
    """Wait until no pod of a workload is left that should be gone. Raises WaitTimeoutError."""
    selector = pod_selector(workload)
    while selector:
        reason = await _lingering(context, namespace, selector, workload)
        if not reason:
            return
        if context.remaining() <= 0:
            raise WaitTimeoutError(reason)
        await asyncio.sleep(min(PODS_SECONDS, context.remaining()))


async def _lingering(context: ActionContext, namespace: str, selector: str, workload: JsonObject) -> str:
    try:
        pods = await context.kube.list_all(PODS, namespace=namespace, label_selector=selector)
    except KubeError as error:
        if not is_transient(error):
            raise
        return f"its pods cannot be listed: {error}"
    return lingering_pods(workload, pods)


def propagation_of(target: Target, *, waits: bool) -> str:
    """Return how a deletion treats what depends on the object.

    A deletion that is waited for is over only when the pods of a workload are gone, and what an operator made for an
    object of its own kind; so the garbage collector has to take those first.
    """
    group = target.resource.group
    has_dependants = group in _DEPENDANTS or "." in group or target.resource.kind == "ReplicationController"
    return "Foreground" if waits and has_dependants and not group.endswith(".k8s.io") else "Background"


def is_definition_of(document: dict[str, Any], group: str, kind: str) -> bool:
    """Tell whether a manifest document is the CustomResourceDefinition of a kind."""
    spec = document.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    return (
        document.get("kind") == "CustomResourceDefinition"
        and isinstance(spec, dict)
        and spec.get("group") == group
        and isinstance(names, dict)
        and names.get("kind") == kind
    )
