"""Taking back the objects of a KubernetesResource action (contract: actions, section 7; decisions R4, R5, R8)."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.errors import KubeError, UnknownKind
from app.kube.resources import Resource
from app.models.actions import ResourceOperation
from app.models.common import CoreReference
from controller.actions.attempts import attempt, failed, timed_out
from controller.actions.base import ActionContext
from controller.actions.objects import Target
from controller.actions.undo import CannotUndo, Effect, Undone, take_back, together


async def roll_back(context: ActionContext, refs: Sequence[CoreReference], operation: ResourceOperation) -> Outcome:
    """Take back all of `refs`, last first. A failure keeps none of the others from being taken back."""
    if any(not (ref.api_version and ref.kind and ref.name) for ref in refs):
        return Failed("resource reference apiVersion, kind, and name are required")
    undone: list[tuple[str, Undone]] = []

    async def work() -> Outcome:
        failures: list[Failed] = []
        for ref in reversed(refs):
            try:
                undone.append((_label(ref), await _take_back(context, ref, operation)))
            except CannotUndo as problem:
                failures.append(Failed(str(problem)))
            except KubeError as error:
                failures.append(failed(error, prefix="Failed to delete resource: "))
        return together(failures, _told(undone)) if failures else _outcome(undone, operation)

    async def last_look() -> Outcome:
        return timed_out(context, _told(undone) if undone else "nothing was rolled back")

    return await attempt(context, work, last_look)


async def _take_back(context: ActionContext, ref: CoreReference, operation: ResourceOperation) -> Undone:
    try:
        resource = await context.kube.resource_for(ref.api_version, ref.kind)
    except UnknownKind:
        group, _, version = ref.api_version.rpartition("/")
        resource = Resource(group, version, ref.kind.lower(), ref.kind, namespaced=bool(ref.namespace))
    return await take_back(context, Target(resource, ref.namespace, ref.name), ref, operation, explained=False)


def _label(ref: CoreReference) -> str:
    return f"{ref.kind} {ref.namespace}/{ref.name}"


def _outcome(undone: Sequence[tuple[str, Undone]], operation: ResourceOperation) -> Outcome:
    if all(result.effect is Effect.KEPT for _, result in undone):
        reasons = "; ".join(result.why for _, result in undone)
        return NothingToDo(f"No automatic rollback for {operation} operation: {reasons}")
    return Succeeded(f"Rolled back: {_told(undone)}")


def _told(undone: Sequence[tuple[str, Undone]]) -> str:
    """Return what became of the objects, grouped by what that was."""
    parts = []
    for effect in (Effect.DELETED, Effect.RESTORED):
        labels = [label for label, result in undone if result.effect is effect]
        if len(labels) == 1:
            parts.append(f"{effect} resource {labels[0]}")
        elif labels:
            parts.append(f"{effect} {len(labels)} resources: {', '.join(labels)}")
    parts += [f"resource {label} was already gone" for label, result in undone if result.effect is Effect.GONE]
    parts += [f"left alone: {result.why}" for _, result in undone if result.effect is Effect.KEPT]
    return "; ".join(parts)
