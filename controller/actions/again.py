"""Making again what a run deleted, as it was (decision R8).

The new object has a UID of its own. It is recorded as the successor of the deleted one, so that what the same run did
to that before is taken back, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.engine.field_changes import changes_between
from app.engine.field_paths import ABSENT
from app.engine.field_shapes import entries_of
from app.engine.remaking import as_new, does_work_again, with_new_addresses
from app.kube.errors import AlreadyExists, Invalid, KubeError, is_transient
from app.kube.secrecy import is_secret, only_named
from app.models.common import CoreReference
from app.models.execution import FieldConflict
from app.models.revert_options import ConflictPolicy
from controller.actions.base import ActionContext
from controller.actions.objects import Target, find, gone, prior_key
from controller.actions.ownership import JsonObject, is_being_deleted, uid_of
from controller.actions.undone import CannotUndoError, Effect, Undone, doing
from controller.actions.waiting import WaitTimeoutError

_TRIES = 5
"""Times that the name is looked at before somebody else's objects under it are the outcome."""
_LONGEST_CHAIN = 20
"""Deletions of one object in one run that are followed."""
_TO_TELL = 1.0
"""Seconds before the deadline at which waiting ends, so that it can be told for what."""
_BY_HAND = "put it right by hand, then revert the rest with spec.revertOptions.failurePolicy: Continue"


async def make_again(context: ActionContext, target: Target, ref: CoreReference) -> Undone:
    """Create what the action deleted. Raises CannotUndoError and NotUndoneError."""
    if context.unrecorded:
        raise CannotUndoError(
            f"Failed to restore {target.label}: nothing but a status says that it was deleted; {_BY_HAND}"
        )
    with doing("restore", target):
        _, prior = await context.priors.load(prior_key(context, target))
        if prior is None:
            if ref.uid:
                raise CannotUndoError(f"Failed to restore {target.label}: what it was like is not recorded; {_BY_HAND}")
            return Undone(Effect.KEPT, f"{target.label} was not there when it was to be deleted")
        if problem := _problem(target, prior):
            raise CannotUndoError(f"Failed to restore {target.label}: {problem}; {_BY_HAND}")
        for _ in range(_TRIES):
            live = await find(context, target)
            if live is not None and is_being_deleted(live):
                await _await_gone(context, target, uid_of(live))
            elif live is not None:
                return await _judged(context, target, prior, live)
            elif (made := await _made(context, target, prior)) is not None:
                return made
    raise CannotUndoError(
        f"Failed to restore {target.label}: others create and delete objects of that name; {_BY_HAND}"
    )


def _problem(target: Target, prior: Mapping[str, Any]) -> str:
    """Return why nobody can make an object again, which is refused before the deletion when it is known then."""
    if is_secret(target.resource, prior) or only_named(prior):
        return "the data of Secrets is not recorded"
    if does_work_again(target.resource.group, target.resource.kind, prior):
        return "to make it again is to do its work a second time"
    return ""


async def _await_gone(context: ActionContext, target: Target, uid: str) -> None:
    try:
        await gone(replace(context, deadline=context.deadline - _TO_TELL), target, uid)
    except WaitTimeoutError as timeout:
        raise CannotUndoError(f"Failed to restore {target.label}: {timeout}") from timeout


async def _made(context: ActionContext, target: Target, prior: Mapping[str, Any]) -> Undone | None:
    """Create the object; None when there is one of its name already."""
    body, lost = await _owned(context, as_new(prior))
    why = [f"{target.label} is no longer owned by {', '.join(lost)}, which is gone"] if lost else []
    try:
        made = await _create(context, target, body)
    except AlreadyExists:
        return None
    except Invalid:
        if (other := with_new_addresses(body)) is None:
            raise
        made = await _create(context, target, other)
        why.append(f"{target.label} has new addresses, because others have those that it had")
    await _succeeds(context, target, uid_of(prior), uid_of(made))
    return Undone(Effect.RESTORED, "; ".join(why))


async def _create(context: ActionContext, target: Target, body: Mapping[str, Any]) -> JsonObject:
    return await context.kube.create(target.resource, body, namespace=target.namespace or None)


async def _owned(context: ActionContext, body: JsonObject) -> tuple[JsonObject, list[str]]:
    """Return an object without those owners that are gone, and these: it would be removed for them at once."""
    metadata, kept, lost = body["metadata"], [], []
    for owner in metadata.pop("ownerReferences", ()):
        if await _is_there(context, owner, str(metadata.get("namespace") or "")):
            kept.append(owner)
        else:
            lost.append(f"{owner.get('kind')} {owner.get('name')}")
    owners = {"ownerReferences": kept} if kept else {}
    return {**body, "metadata": {**metadata, **owners}}, lost


async def _is_there(context: ActionContext, owner: Mapping[str, Any], namespace: str) -> bool:
    try:
        resource = await context.kube.resource_for(str(owner.get("apiVersion")), str(owner.get("kind")))
        place = namespace if resource.namespaced else None
        return uid_of(await context.kube.get(resource, str(owner.get("name")), namespace=place)) == owner.get("uid")
    except KubeError as error:
        if is_transient(error):
            raise
        return False


async def _judged(context: ActionContext, target: Target, prior: Mapping[str, Any], live: JsonObject) -> Undone:
    """Say what becomes of an object that is there: the deleted one, the one that was made again, or somebody else's."""
    uid, now = uid_of(prior), uid_of(live)
    if now == uid:
        return Undone(Effect.KEPT, f"{target.label} was not deleted")
    wanted = as_new(prior)
    if not changes_between(wanted, live) or _made_before(context, live):
        await _succeeds(context, target, uid, now)
        return Undone(Effect.RESTORED)
    conflict = FieldConflict(
        object=target.label, path="metadata.uid", was=f'"{uid}"', now=f'"{now}"', changed_by=", ".join(_managers(live))
    )
    by = f" by {conflict.changed_by}" if conflict.changed_by else ""
    anew = f"this run deleted it (uid {uid}), and it was made anew{by} since (uid {now})"
    match context.conflicts:
        case ConflictPolicy.FAIL:
            raise CannotUndoError(
                f"Failed to restore {target.label}: {anew}; the object was left as it is: put it right by hand, or "
                "revert anew with spec.revertOptions.conflicts: Keep (the new one stays) or Force (it becomes what the "
                "deleted one was)",
                (conflict,),
            )
        case ConflictPolicy.KEEP:
            return Undone(Effect.LEFT, f"{target.label} was left alone: {anew}", (conflict,))
    await _overwrite(context, target, wanted, live)
    await _succeeds(context, target, uid, now)
    return Undone(Effect.RESTORED, f"{target.label} was overwritten: {anew}", (conflict,))


def _made_before(context: ActionContext, live: Mapping[str, Any]) -> bool:
    """Tell whether an earlier attempt made the object: its answer was lost, and somebody may have changed it since."""
    return (context.in_doubt or context.attempt > 1) and context.kube.manager in _managers(live)


def _managers(live: Mapping[str, Any]) -> Sequence[str]:
    return tuple(dict.fromkeys(str(entry.get("manager")) for entry in entries_of(live)))


async def _overwrite(context: ActionContext, target: Target, wanted: JsonObject, live: JsonObject) -> None:
    """Give somebody else's object the content of the deleted one; it keeps what the API server gave it."""
    content = ("labels", "annotations", "finalizers")
    metadata = {key: value for key, value in live["metadata"].items() if key not in content}
    given = {key: wanted["metadata"][key] for key in content if key in wanted["metadata"]}
    status = {} if live.get("status", ABSENT) is ABSENT else {"status": live["status"]}
    after = {**wanted, "metadata": {**metadata, **given}, **status}
    if (addressless := with_new_addresses(after)) is not None:
        after = {**addressless, "spec": {**_addresses(live), **addressless["spec"]}}
    await context.kube.change(target.resource, live, after, name=target.name, namespace=target.namespace or None)


def _addresses(service: Mapping[str, Any]) -> JsonObject:
    spec = service.get("spec") or {}
    return {key: spec[key] for key in ("clusterIP", "clusterIPs") if key in spec}


def _successor_key(target: Target, uid: str) -> str:
    return f"{target.resource.group}/{target.resource.kind}/{target.namespace}/{target.name}!after#{uid}"


async def _succeeds(context: ActionContext, target: Target, uid: str, successor: str) -> None:
    await context.priors.save(_successor_key(target, uid), {"metadata": {"uid": successor}})


async def successor_of(context: ActionContext, target: Target, uid: str) -> str:
    """Return the UID of the object that a Revert made in the place of the one of `uid`; `uid` when it made none."""
    for _ in range(_LONGEST_CHAIN):
        _, record = await context.priors.load(_successor_key(target, uid))
        if record is None:
            return uid
        uid = uid_of(record)
    return uid
