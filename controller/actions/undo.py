"""Taking one object back: deleting what the run created, restoring what it changed (decisions R4, R5, R8)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from app.engine.definition import object_key
from app.engine.three_way import taken_out
from app.kube.errors import Conflict, NotFound
from app.kube.secrecy import is_secret, only_named
from app.models.actions import ResourceOperation, RollbackPolicy
from app.models.common import CoreReference
from app.models.execution import FieldConflict
from app.models.revert_options import ConflictPolicy, MissingResources
from controller.actions.again import make_again, successor_of
from controller.actions.base import ActionContext
from controller.actions.changed import changes_to_take_back, conflicts_of, told
from controller.actions.objects import Target, delete_uid, find, prior_key, still_there, what_remains
from controller.actions.ownership import created_by_target, is_being_deleted, uid_of
from controller.actions.undone import CannotUndoError, Effect, Undone, doing


def goes_back_by_itself(policy: RollbackPolicy | None, operation: ResourceOperation) -> bool:
    """Tell whether there is something to take back of an action that has no rollback of its own."""
    return policy is RollbackPolicy.RESTORE or operation not in (ResourceOperation.PATCH, ResourceOperation.DELETE)


async def take_back(
    context: ActionContext,
    target: Target,
    ref: CoreReference,
    operation: ResourceOperation,
    *,
    trusted: bool = False,
) -> Undone:
    """Take back what `operation` did to the object of `ref`.

    With a record of its prior state the object is restored; else it is deleted when the run created it: always after
    Create and Replace, after Apply when the marks say so. A reference without UID means that nobody saw the object
    made, so then too the marks must say so, unless it is `trusted`. What was deleted is made again.
    """
    if operation is ResourceOperation.DELETE:
        return await make_again(context, target, ref)
    if operation is ResourceOperation.CREATE and ref.uid:
        unseen = await _deleted_unseen(context, target, ref.uid)
        if unseen is not None:
            return unseen
    with doing("read", target):
        recorded, prior = await context.priors.load(prior_key(context, target))
        live = await find(context, target)
        ref = await _of_today(context, target, ref, live)
    if prior is not None and context.rollback_policy is RollbackPolicy.DELETE:
        if operation is not ResourceOperation.REPLACE:
            return Undone(Effect.KEPT, f"{target.label} existed before, and rollbackPolicy Delete leaves it as it is")
        prior = None
    if live is None and prior is not None and operation is ResourceOperation.REPLACE and not ref.uid:
        with doing("restore", target):
            return await _make_again(context, target, prior)
    if live is None or (ref.uid and uid_of(live) != ref.uid):
        if prior is None and (context.in_doubt or context.attempt > 1):
            return Undone(Effect.DELETED)
        if may_be_missing(context, ref):
            return Undone(Effect.GONE)
        if not (ref.uid or trusted):
            return Undone(Effect.KEPT, f"{target.label} is not there, and nothing tells that this run made it")
        verb = "delete" if prior is None else "restore"
        raise CannotUndoError(f"Failed to {verb} {target.label}: {_absence(live, ref)}")
    if prior is not None:
        with doing("restore", target):
            return await _restore(context, target, prior, live)
    if trusted and not ref.uid and not await _is_meant(context, target, uid_of(live)):
        return Undone(Effect.DELETED)
    created = recorded or operation in (ResourceOperation.CREATE, ResourceOperation.REPLACE)
    if (created and (ref.uid or trusted)) or created_by_target(live, context):
        return await _delete(context, target, uid_of(live))
    if created:
        raise CannotUndoError(
            f"{target.label} was left alone: its uid was not recorded, and it bears no mark of this action, so it "
            "may be somebody else's; if it is of this run, delete it by hand, then revert the rest"
        )
    return Undone(Effect.KEPT, f"{target.label} existed before, and what it was like is not recorded")


async def _is_meant(context: ActionContext, target: Target, uid: str) -> bool:
    """Tell whether the object that has the name is the one that goes, whose UID the run did not record.

    The first try records it. In a later one another object was made anew since, and stays.
    """
    key = f"{prior_key(context, target)}#meant by {context.execution_uid}"
    await context.priors.save(key, {"metadata": {"uid": uid}})
    _, meant = await context.priors.load(key)
    return meant is None or uid_of(meant) == uid


async def _of_today(
    context: ActionContext, target: Target, ref: CoreReference, live: Mapping[str, Any] | None
) -> CoreReference:
    """Return the reference to the object that a Revert made in the place of the recorded one, if it did."""
    if live is None or not ref.uid or uid_of(live) == ref.uid:
        return ref
    return ref.model_copy(update={"uid": await successor_of(context, target, ref.uid)})


def may_be_missing(context: ActionContext, ref: CoreReference) -> bool:
    """Tell whether the absence of an object is no failure: the run's record explains it, or the Revert ignores it."""
    return object_key(ref) in context.explained or context.missing_resources is MissingResources.IGNORE


def _absence(live: Mapping[str, Any] | None, ref: CoreReference) -> str:
    if live is None:
        return "not found (deleted outside this plan)"
    return f"it was deleted and created again outside this plan (uid {uid_of(live)}, recorded {ref.uid})"


async def _deleted_unseen(context: ActionContext, target: Target, uid: str) -> Undone | None:
    """Delete what a Create made without looking first: there is no prior state, and the UID says it is the one.

    The usual case of a Revert takes one request that way; None means that something is unusual, which a look tells.
    """
    try:
        answer = await context.kube.delete(target.resource, target.name, namespace=target.namespace or None, uid=uid)
    except (NotFound, Conflict):
        return None
    return _deletion(target, answer)


def _deletion(target: Target, answer: Mapping[str, Any] | None) -> Undone:
    """Return what a deletion came to, by the API server's answer."""
    remains = what_remains(target, answer)
    return Undone(Effect.DELETING, remains) if remains else Undone(Effect.DELETED)


async def _delete(context: ActionContext, target: Target, uid: str) -> Undone:
    try:
        return _deletion(target, await delete_uid(context, target, uid))
    except Conflict:
        if (live := await find(context, target)) is not None and uid_of(live) == uid:
            raise
    return Undone(Effect.DELETED)


async def _restore(context: ActionContext, target: Target, prior: Mapping[str, Any], live: Mapping[str, Any]) -> Undone:
    """Take the run's changes out of the object, and leave those of others (decision R8)."""
    if is_secret(target.resource, prior) or only_named(prior):
        return Undone(Effect.KEPT, f"{target.label} existed before, and the data of Secrets is not recorded")
    uid, key = uid_of(live), prior_key(context, target)
    changes = await changes_to_take_back(context, key, prior, live)
    if changes is None:
        raise CannotUndoError(
            f"Failed to restore {target.label}: what this run changed is not recorded, and the object's managedFields "
            "do not tell it either; put it right by hand, then revert the rest with "
            "spec.revertOptions.failurePolicy: Continue"
        )
    for last in (False, False, True):
        if is_being_deleted(live):
            raise CannotUndoError(f"Failed to restore {target.label}: {still_there(target, live)}")
        found = await asyncio.to_thread(taken_out, live, prior, changes, context.conflicts)
        conflicts = conflicts_of(target.label, live, found.collisions)
        if conflicts and context.conflicts is ConflictPolicy.FAIL:
            raise CannotUndoError(_collided(target, conflicts, len(found.collisions)), conflicts)
        try:
            await context.kube.change(
                target.resource, live, found.obj, name=target.name, namespace=target.namespace or None
            )
        except (NotFound, Conflict):
            if last:
                raise
        else:
            return Undone(Effect.RESTORED, _decided(context, conflicts, len(found.collisions)), conflicts)
        again = await find(context, target)
        if again is None or uid_of(again) != uid:
            raise CannotUndoError(f"Failed to restore {target.label}: {_absence(again, target.reference(uid))}")
        live = again
    raise AssertionError("the last try returns or raises")


def _collided(target: Target, conflicts: Sequence[FieldConflict], count: int) -> str:
    return (
        f"Failed to restore {target.label}: {told(conflicts, count)}; the object was left as it is: put it right by "
        "hand, or revert anew with spec.revertOptions.conflicts: Keep (what others wrote stays) or Force (it becomes "
        "what it was before the run)"
    )


def _decided(context: ActionContext, conflicts: Sequence[FieldConflict], count: int) -> str:
    """Say what became of collisions that did not fail the action; empty when there were none."""
    if not conflicts:
        return ""
    done = "overwritten" if context.conflicts is ConflictPolicy.FORCE else "kept"
    return f"{count} {'field' if count == 1 else 'fields'} that others changed since {done}: {told(conflicts, count)}"


async def _make_again(context: ActionContext, target: Target, prior: Mapping[str, Any]) -> Undone:
    """Create anew what a Replace deleted without getting to its successor."""
    then = prior.get("metadata") or {}
    kept = {key: then[key] for key in ("name", "namespace", "labels", "annotations") if key in then}
    await context.kube.create(target.resource, {**prior, "metadata": kept}, namespace=target.namespace or None)
    return Undone(Effect.RESTORED)
