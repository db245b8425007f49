"""Creating, applying, patching and deleting one object so that it can be told apart later who made it and taken back.

Everything here may be repeated: after a crash or a lost answer the same call finds what it has already done
(invariant 3). Before an object that the action did not create is changed, its state is recorded (decision R8).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from app.kube.errors import AlreadyExists, ApiUnavailable, Conflict, KubeError, NotFound, ServerError
from app.kube.resources import Resource
from app.kube.secrecy import is_secret
from app.models.common import CoreReference
from controller.actions.base import ActionContext
from controller.actions.changed import record_all, record_changes
from controller.actions.job_ttl import held
from controller.actions.ownership import (
    JsonObject,
    is_being_deleted,
    is_own,
    keeping_marks,
    marked,
    uid_of,
    version_of,
)
from controller.actions.restorable import demand_restorable
from controller.actions.waiting import Pending, Seen, wait_for

T = TypeVar("T")

_TRIES = 5
"""Times that an object is read and written before a Conflict is the outcome: some are changed all the time."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which object is meant. `namespace` is empty for cluster-scoped kinds."""

    resource: Resource
    namespace: str
    name: str
    recorded_as: str = ""
    """The apiVersion that the run recorded the object under, where that is no longer the one it is served under."""

    @property
    def where(self) -> str:
        """`namespace/name`, or the name alone of a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.resource.namespaced else self.name

    @property
    def label(self) -> str:
        """Kind and `where`, as messages print an object."""
        return f"{self.resource.kind} {self.where}"

    def reference(self, uid: str = "") -> CoreReference:
        """Return the reference that goes into outputs."""
        return CoreReference(
            api_version=self.resource.api_version,
            kind=self.resource.kind,
            namespace=self.namespace,
            name=self.name,
            uid=uid,
        )


class Made:
    """What an attempt has made so far, and what it may have made without seeing the answer."""

    def __init__(self) -> None:
        self.refs: list[CoreReference] = []
        self._unseen: Target | None = None

    @contextmanager
    def making(self, target: Target) -> Iterator[None]:
        """Hold the writes to `target`; add to `refs` inside. What ends without a clear refusal counts as unseen."""
        self._unseen = target
        try:
            yield
        except KubeError as error:
            if not _may_have_happened(error):
                self._unseen = None
            raise
        self._unseen = None

    def all(self) -> tuple[CoreReference, ...]:
        """Return the references for the outputs. One without UID means that nobody saw whether the object was made."""
        unseen = (self._unseen.reference(),) if self._unseen is not None else ()
        return (*self.refs, *unseen)


def _may_have_happened(error: KubeError) -> bool:
    return isinstance(error, ServerError) or (isinstance(error, ApiUnavailable) and error.in_doubt)


def prior_key(context: ActionContext, target: Target) -> str:
    """Return the key of an object's prior state.

    It begins with stage, workflow index and action, so that two actions that change one object have a record each and
    are taken back one at a time; a Revert's context names those of the target run and finds the same key.
    """
    action = context.identity.partition("/")[2]
    resource = target.resource
    return f"{action}#{target.recorded_as or resource.api_version}/{resource.kind}/{target.namespace}/{target.name}"


async def find(context: ActionContext, target: Target) -> JsonObject | None:
    """Return the object as it is now, or None."""
    try:
        return await context.kube.get(target.resource, target.name, namespace=target.namespace or None)
    except NotFound:
        return None


async def create(context: ActionContext, target: Target, body: Mapping[str, Any]) -> JsonObject:
    """Create the object with the action's marks, or return the one an earlier attempt created.

    An object of that name that is being deleted is waited for. Raises AlreadyExists when the name is taken by an object
    of somebody else that stays.
    """
    while True:
        try:
            return await context.kube.create(target.resource, _own(body, context), namespace=target.namespace or None)
        except (AlreadyExists, ApiUnavailable, ServerError) as error:
            existing = await _find_after(context, target, error)
            if existing is None:
                raise
            if not is_being_deleted(existing):
                if is_own(existing, context):
                    return existing
                raise
        await gone(context, target, uid_of(existing))


def _own(body: Mapping[str, Any], context: ActionContext) -> JsonObject:
    """Return an object as the action makes it: with its marks, and a Job without the lifetime that it gets later."""
    return marked(held(body), context)


async def _find_after(context: ActionContext, target: Target, error: KubeError) -> JsonObject | None:
    try:
        return await find(context, target)
    except KubeError:
        raise error from None


async def apply(context: ActionContext, target: Target, body: Mapping[str, Any]) -> JsonObject:
    """Apply the object server-side, with force. It is marked if, and only if, this brings it into being.

    One that is being deleted is waited for: what is applied to it would go with it.
    """

    async def once() -> JsonObject:
        existing = await _find_staying(context, target)
        own = existing is None or is_own(existing, context)
        if existing is not None and not own:
            await remember(context, target, existing)
        wanted = _own(body, context) if own else keeping_marks(body, existing)
        applied, created = await _apply(context, target, _as_read(wanted, existing))
        if existing is None and not created:  # somebody else made it since the look above
            applied, _ = await _apply(context, target, _as_read(body, applied))
        elif created and not own:  # somebody else deleted it since
            applied, _ = await _apply(context, target, _as_read(_own(body, context), applied))
        elif existing is not None and not own:
            await _remember_changes(context, target, existing, applied)
        return applied

    return await _unless_changed(once)


async def _apply(context: ActionContext, target: Target, body: Mapping[str, Any]) -> tuple[JsonObject, bool]:
    return await context.kube.apply(target.resource, body, name=target.name, namespace=target.namespace or None)


async def _find_staying(context: ActionContext, target: Target) -> JsonObject | None:
    """Return the object as it is now, once none of that name is being deleted any more; None when there is none."""
    while (existing := await find(context, target)) is not None and is_being_deleted(existing):
        await gone(context, target, uid_of(existing))
    return existing


async def patch(context: ActionContext, target: Target, change: Mapping[str, Any]) -> JsonObject:
    """Change the object with a JSON merge patch. Raises NotFound when there is none, or none that stays."""

    async def once() -> JsonObject:
        await _find_staying(context, target)
        existing = await context.kube.get(target.resource, target.name, namespace=target.namespace or None)
        await remember(context, target, existing)
        patched = await context.kube.patch(
            target.resource, target.name, _as_read(change, existing), namespace=target.namespace or None
        )
        await _remember_changes(context, target, existing, patched)
        return patched

    return await _unless_changed(once)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a deletion came to. `uid` is empty when there was nothing; `remains` says what holds the object."""

    uid: str
    remains: str = ""


async def remove(context: ActionContext, target: Target, *, propagation: str = "Background") -> Removal:
    """Delete the object that has that name; that there is none is as good.

    Which object is meant is recorded before the first try. Another one of that name, in a later try, was made anew
    since and stays: the one that was to go is gone.
    """
    meant = await meant_to_go(context, target) if context.in_doubt or context.attempt > 1 else ""

    async def once() -> Removal:
        nonlocal meant
        existing = await find(context, target)
        if existing is None or (meant and uid_of(existing) != meant):
            return Removal(meant)
        meant = uid_of(existing)
        demand_restorable(context, target.resource, target.label, existing, deleting=True)
        await _remember_what_goes(context, target, existing)
        answer = await delete_uid(context, target, meant, version_of(existing), propagation=propagation)
        return Removal(meant, what_remains(target, answer))

    return await _unless_changed(once)


async def meant_to_go(context: ActionContext, target: Target) -> str:
    """Return the UID of the object that an earlier try of this action was to delete; empty when there was none."""
    _, prior = await context.priors.load(prior_key(context, target))
    return uid_of(prior or {})


def _as_read(body: Mapping[str, Any], existing: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return `body` with the resourceVersion of what was read, so that it is written over nothing else.

    It also keeps a write that was on its way for too long from being done after its reason is gone (invariant 4). What
    the author demands wins.
    """
    version = version_of(existing or {})
    metadata = body.get("metadata") or {}
    return {**body, "metadata": {"resourceVersion": version, **metadata}} if version else body


async def _unless_changed(once: Callable[[], Awaitable[T]]) -> T:
    """Read and write by `once`, anew as long as somebody else writes in between; raises Conflict after some times."""
    for _ in range(_TRIES - 1):
        with suppress(Conflict):
            return await once()
    return await once()


async def delete_uid(
    context: ActionContext, target: Target, uid: str, version: str = "", *, propagation: str = "Background"
) -> JsonObject | None:
    """Delete the object with that UID; return the API server's answer, None when it is gone already.

    `propagation` says what becomes of its dependants: `Foreground` keeps the object until they are gone. With `version`
    only as long as that is its resourceVersion.
    """
    try:
        return await context.kube.delete(
            target.resource,
            target.name,
            namespace=target.namespace or None,
            uid=uid or None,
            resource_version=version or None,
            propagation=propagation,
        )
    except NotFound:
        return None


async def replace(context: ActionContext, target: Target, body: Mapping[str, Any]) -> JsonObject:
    """Delete the object, wait until it is gone and create it anew. One the action itself created stays."""

    async def once() -> JsonObject | None:
        existing = await find(context, target)
        if existing is not None and not is_own(existing, context):
            await remember(context, target, existing)
            await delete_uid(context, target, uid_of(existing), version_of(existing))
        return existing

    existing = await _unless_changed(once)
    if existing is not None:
        if is_own(existing, context):
            return existing
        await gone(context, target, uid_of(existing))
    made = await create(context, target, body)
    if not is_secret(target.resource, made):
        await record_all(context, prior_key(context, target), made)
    return made


def still_there(target: Target, obj: Mapping[str, Any]) -> str:
    """Say that an object is being deleted, and what holds it."""
    held = (obj.get("metadata") or {}).get("finalizers") or ()
    return f"{target.label} is still being deleted" + (f", held by finalizers [{', '.join(held)}]" if held else "")


def what_remains(target: Target, answer: Mapping[str, Any] | None) -> str:
    """Return what still holds an object whose deletion was answered so; empty when it is gone.

    The API server answers with the object as long as something holds it.
    """
    return still_there(target, answer) if answer is not None and is_being_deleted(answer) else ""


async def gone(context: ActionContext, target: Target, uid: str) -> None:
    """Wait until the object with that UID is gone, finalizers included. Raises WaitTimeoutError."""

    def judge(seen: Seen) -> Pending | None:
        if not seen.exists or seen.obj is None or uid_of(seen.obj) != uid:
            return None
        return Pending(still_there(target, seen.obj))

    await wait_for(
        context.kube, target.resource, target.namespace or None, target.name, judge, deadline=context.deadline
    )


async def remember(context: ActionContext, target: Target, obj: Mapping[str, Any]) -> None:
    """Record what the object is like before the action changes it. Of a Secret only that it existed (decision R8)."""
    demand_restorable(context, target.resource, target.label, obj)
    if not is_being_deleted(obj):
        await _remember_what_goes(context, target, obj)


async def _remember_changes(
    context: ActionContext, target: Target, existing: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """Record what the action changed of the object, by the API server's answer. Of what has a Secret in it nothing."""
    secret = is_secret(target.resource, existing) or is_secret(target.resource, after)
    if not (secret or is_being_deleted(existing)):
        await record_changes(context, prior_key(context, target), existing, after)


async def _remember_what_goes(context: ActionContext, target: Target, obj: Mapping[str, Any]) -> None:
    """Record what the object is like, also when it is being deleted already, so that it is known by its UID."""
    metadata = obj.get("metadata") or {}
    kept = {"apiVersion": target.resource.api_version, "kind": target.resource.kind}
    if is_secret(target.resource, obj):
        named = {"name": target.name, "namespace": target.namespace, "uid": uid_of(obj)}
        content: JsonObject = {**kept, "metadata": named}
    else:
        state = {key: value for key, value in obj.items() if key not in ("status", "metadata")}
        lean = {key: value for key, value in metadata.items() if key != "managedFields"}
        content = {**state, **kept, "metadata": lean}
    await context.priors.save(prior_key(context, target), content)
