"""Taking one object back: deleting what the run created, restoring what it changed (decisions R4, R5, R8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.engine.definition import object_key
from app.engine.outcome import Failed
from app.kube.errors import Conflict, NotFound
from app.kube.secrecy import is_secret, only_named
from app.models.actions import ResourceOperation
from app.models.common import CoreReference
from app.models.execution import MissingResources
from controller.actions.base import ActionContext
from controller.actions.objects import Target, delete_uid, find, prior_key, what_remains
from controller.actions.ownership import JsonObject, created_by_target, uid_of


class Effect(StrEnum):
    """What became of an object."""

    DELETED = "deleted"
    DELETING = "being deleted"
    RESTORED = "restored"
    GONE = "gone"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Undone:
    """The outcome for one object; `why` explains KEPT, and says of DELETING what holds the object."""

    effect: Effect
    why: str = ""


def together(failures: Sequence[Failed], told: str = "") -> Failed:
    """Return the one failure of a rollback of several objects; `told` is what was done all the same."""
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    return Failed(
        message="; ".join(failure.message for failure in failures) + (f" ({told})" if told else ""),
        retryable=all(failure.retryable for failure in failures),
        retry_after=max(waits, default=None),
    )


class CannotUndoError(Exception):
    """The object is not as the run left it. The text is a whole message."""


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
    made, so then too the marks must say so, unless it is `trusted`.
    """
    if operation is ResourceOperation.CREATE and ref.uid:
        unseen = await _deleted_unseen(context, target, ref.uid)
        if unseen is not None:
            return unseen
    recorded, prior = await context.priors.load(prior_key(context, target))
    live = await find(context, target)
    if live is None and prior is not None and operation is ResourceOperation.REPLACE and not ref.uid:
        return await _make_again(context, target, prior)
    if live is None or (ref.uid and uid_of(live) != ref.uid):
        if prior is None and (context.in_doubt or context.attempt > 1):
            return Undone(Effect.DELETED)
        if not (ref.uid or trusted) or may_be_missing(context, ref):
            return Undone(Effect.GONE)
        verb = "delete" if prior is None else "restore"
        raise CannotUndoError(f"Failed to {verb} {target.label}: {_absence(live, ref)}")
    if prior is not None:
        return await _restore(context, target, prior)
    created = recorded or operation in (ResourceOperation.CREATE, ResourceOperation.REPLACE)
    if (created and (ref.uid or trusted)) or created_by_target(live, context):
        return await _delete(context, target, uid_of(live))
    if created:
        raise CannotUndoError(
            f"{target.label} was left alone: its uid was not recorded, and it bears no mark of this action, so it "
            "may be somebody else's; if it is of this run, delete it by hand, then revert the rest"
        )
    return Undone(Effect.KEPT, f"{target.label} existed before, and what it was like is not recorded")


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


async def _restore(context: ActionContext, target: Target, prior: Mapping[str, Any]) -> Undone:
    if is_secret(target.resource, prior) or only_named(prior):
        return Undone(Effect.KEPT, f"{target.label} existed before, and the data of Secrets is not recorded")
    for last in (False, False, True):
        live = await find(context, target)
        if live is None:
            raise CannotUndoError(f"Failed to restore {target.label}: {_absence(None, CoreReference())}")
        try:
            await context.kube.replace(
                target.resource, _restored(live, prior), name=target.name, namespace=target.namespace or None
            )
        except NotFound:
            continue
        except Conflict:
            if last:
                raise
            continue
        return Undone(Effect.RESTORED)
    raise CannotUndoError(f"Failed to restore {target.label}: {_absence(None, CoreReference())}")


async def _make_again(context: ActionContext, target: Target, prior: Mapping[str, Any]) -> Undone:
    """Create anew what a Replace deleted without getting to its successor."""
    then = prior.get("metadata") or {}
    kept = {key: then[key] for key in ("name", "namespace", "labels", "annotations") if key in then}
    await context.kube.create(target.resource, {**prior, "metadata": kept}, namespace=target.namespace or None)
    return Undone(Effect.RESTORED)


def _restored(live: Mapping[str, Any], prior: Mapping[str, Any]) -> JsonObject:
    """Return `live` with the content, labels and annotations of `prior`; finalizers and owners stay as they are."""
    then = prior.get("metadata") or {}
    metadata = {key: value for key, value in (live.get("metadata") or {}).items() if key != "managedFields"}
    for key in ("labels", "annotations"):
        metadata[key] = dict(then.get(key) or {})
    status = {"status": live["status"]} if "status" in live else {}
    return {**prior, **status, "metadata": metadata}
