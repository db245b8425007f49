"""Taking back the objects of Clusternet actions (contract: actions 7; decisions R4, R5, R8)."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.kube.errors import KubeError
from app.kube.resources import Resource
from app.models.actions import ResourceOperation
from app.models.common import CoreReference
from app.models.names import DEFAULT_NAMESPACE
from controller.actions.attempts import failed, timed_out, within_deadline
from controller.actions.base import ActionContext
from controller.actions.objects import Target
from controller.actions.undo import goes_back_by_itself, take_back
from controller.actions.undone import CannotUndoError, Effect, NotUndoneError, Undone, failure_of, together


async def roll_back(
    context: ActionContext,
    resource: Resource,
    children: Sequence[CoreReference],
    single: CoreReference | None,
    operation: ResourceOperation,
) -> Outcome:
    """Take back `children`, the Subscriptions of a PerCluster action, else the one object of the action.

    The Go operator recorded children without UID and made them under any operation but Delete.
    """
    taken_back = single is not None and goes_back_by_itself(context.rollback_policy, operation)
    refs = tuple(children) or ((single,) if single is not None and taken_back else ())
    if not refs:
        return NothingToDo(f"No {resource.kind} to rollback")
    undone: list[tuple[Target, Undone]] = []

    async def work() -> Outcome:
        failures: list[Failed] = []
        for ref in reversed(refs):
            target = Target(resource, (ref.namespace or DEFAULT_NAMESPACE) if resource.namespaced else "", ref.name)
            try:
                made = ResourceOperation.CREATE if children else operation
                undone.append(
                    (target, await take_back(context, target, ref, made, trusted=bool(children) and context.unrecorded))
                )
            except (CannotUndoError, NotUndoneError) as problem:
                failures.append(failure_of(problem))
            except KubeError as error:
                failures.append(failed(error, prefix=f"Failed to delete {resource.kind}: "))
        return together(failures) if failures else _outcome(resource, undone)

    async def last_look() -> Outcome:
        return timed_out(context, f"{len(undone)} of {len(refs)} objects were rolled back")

    return await within_deadline(context, work, last_look)


def _outcome(resource: Resource, undone: Sequence[tuple[Target, Undone]]) -> Outcome:
    if len(undone) > 1:
        count = sum(result.effect in (Effect.DELETED, Effect.DELETING, Effect.GONE) for _, result in undone)
        return Succeeded(f"Rolled back: deleted {count} {resource.kind}s")
    target, result = undone[0]
    match result.effect:
        case Effect.KEPT:
            return NothingToDo(f"No {resource.kind} to rollback: {result.why}")
        case Effect.LEFT:
            return Succeeded(f"Rolled back: {result.why}", conflicts=result.conflicts)
        case Effect.GONE:
            return Succeeded(f"Rolled back: {target.label} was already gone")
        case Effect.DELETING:
            return Succeeded(f"Rolled back: {result.why}")
        case Effect.RESTORED:
            decided = f"; {result.why}" if result.why else ""
            return Succeeded(f"Rolled back: restored {target.label}{decided}", conflicts=result.conflicts)
        case _:
            return Succeeded(f"Rolled back: deleted {target.label}")
