"""Taking back the objects of a KubernetesResource action (contract: actions 7; decisions R4, R5, R8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.outputs import united
from app.kube.errors import KubeError, NotServed, UnknownKind
from app.kube.resources import Resource
from app.models.actions import ResourceOperation
from app.models.common import CoreReference
from controller.actions.attempts import failed, timed_out, within_deadline
from controller.actions.base import ActionContext
from controller.actions.objects import Target
from controller.actions.undo import may_be_missing, take_back
from controller.actions.undone import (
    CannotUndoError,
    Effect,
    NotUndoneError,
    Undone,
    all_conflicts,
    failure_of,
    together,
)

_DEFINITION = "CustomResourceDefinition"
_NEEDED_FIRST = ("Namespace", _DEFINITION)
_SERVED_SECONDS = 0.3
"""Between two questions for a kind."""


async def roll_back(context: ActionContext, refs: Sequence[CoreReference], operation: ResourceOperation) -> Outcome:
    """Take back all of `refs`, last first. A failure keeps none of the others from being taken back."""
    if any(not (ref.api_version and ref.kind and ref.name) for ref in refs):
        return Failed("resource reference apiVersion, kind, and name are required")
    undone: list[tuple[str, Undone]] = []
    each_once = united((), tuple(refs))

    async def work() -> Outcome:
        failures: list[Failed] = []
        for ref in _in_order(each_once, operation):
            try:
                await _until_served(context, ref, each_once, operation)
                undone.append((_label(ref), await _take_back(context, ref, operation)))
            except (CannotUndoError, NotUndoneError) as problem:
                failures.append(failure_of(problem))
            except KubeError as error:
                failures.append(failed(error, prefix="Failed to delete resource: "))
        return together(failures, _listed(undone)) if failures else _outcome(undone, operation)

    async def last_look() -> Outcome:
        return timed_out(context, _listed(undone) if undone else "nothing was rolled back")

    return await within_deadline(context, work, last_look)


def _in_order(refs: Sequence[CoreReference], operation: ResourceOperation) -> list[CoreReference]:
    """Return the objects last first; of deleted ones those first without which others cannot be made again."""
    last_first = list(reversed(refs))
    if operation is ResourceOperation.DELETE:
        last_first.sort(key=lambda ref: ref.kind not in _NEEDED_FIRST)
    return last_first


async def _until_served(
    context: ActionContext, ref: CoreReference, refs: Sequence[CoreReference], operation: ResourceOperation
) -> None:
    """Wait for the kind of a deleted object when its CustomResourceDefinition is made again with it."""
    if operation is not ResourceOperation.DELETE or all(each.kind != _DEFINITION for each in refs):
        return
    while ref.kind not in _NEEDED_FIRST and context.remaining() > 0:
        if await _served(context, ref) is not None:
            return
        await asyncio.sleep(_SERVED_SECONDS)


async def _take_back(context: ActionContext, ref: CoreReference, operation: ResourceOperation) -> Undone:
    try:
        return await _take_back_served(context, ref, operation)
    except NotServed:  # it is served otherwise than it was known to be, which is forgotten now
        return await _take_back_served(context, ref, operation)


async def _take_back_served(context: ActionContext, ref: CoreReference, operation: ResourceOperation) -> Undone:
    resource = await _served(context, ref)
    if resource is None:
        if may_be_missing(context, ref):
            return Undone(Effect.GONE)
        raise CannotUndoError(
            f"Failed to delete {_label(ref)}: the API server serves no kind {ref.kind} of {ref.api_version} now, "
            "which does not tell whether the object is gone; install its CustomResourceDefinition again and revert "
            "anew, or, if it was deleted together with its objects, say so by revertOptions.missingResources: Ignore"
        )
    target = Target(resource, ref.namespace if resource.namespaced else "", ref.name, recorded_as=ref.api_version)
    return await take_back(context, target, ref, operation)


async def _served(context: ActionContext, ref: CoreReference) -> Resource | None:
    """Return the type of a recorded object as it is served now, in another version if need be; None when it is not."""
    try:
        return await context.kube.resource_for(ref.api_version, ref.kind)
    except UnknownKind:
        return await context.kube.served_now(ref.api_version.rpartition("/")[0], ref.kind)


def _label(ref: CoreReference) -> str:
    return f"{ref.kind} {ref.namespace}/{ref.name}"


def _outcome(undone: Sequence[tuple[str, Undone]], operation: ResourceOperation) -> Outcome:
    if all(result.effect is Effect.KEPT for _, result in undone):
        reasons = "; ".join(result.why for _, result in undone)
        return NothingToDo(f"No automatic rollback for {operation} operation: {reasons}")
    return Succeeded(f"Rolled back: {_listed(undone)}", conflicts=all_conflicts(result for _, result in undone))


def _listed(undone: Sequence[tuple[str, Undone]]) -> str:
    """Return what became of the objects, grouped by what that was."""
    parts = []
    for effect in (Effect.DELETED, Effect.RESTORED):
        labels = [label for label, result in undone if result.effect is effect]
        if len(labels) == 1:
            parts.append(f"{effect} resource {labels[0]}")
        elif labels:
            parts.append(f"{effect} {len(labels)} resources: {', '.join(labels)}")
    parts += [result.why for _, result in undone if result.effect is Effect.DELETING]
    parts += [f"resource {label} was already gone" for label, result in undone if result.effect is Effect.GONE]
    parts += [result.why for _, result in undone if result.effect in (Effect.RESTORED, Effect.LEFT) and result.why]
    parts += [f"left alone: {result.why}" for _, result in undone if result.effect is Effect.KEPT]
    return "; ".join(parts)
