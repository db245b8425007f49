"""The client handed to whatever works for a user: executors, rollbacks, references of parameters (decision A10).

The controller has more rights than those who write workflows, plans and executions. So this client keeps to bounds of
its own, whatever a manifest, a parameter, a recorded output or a status says: nothing of the controller's namespace is
read or written, nothing of the closed list of `app.engine.bounds`, and no sub-resource but a pod's log. Objects of
the namespace are left out of lists and watches of all namespaces too.

A write goes out only while the leader's lease lasts longer than its answer may take, so that whoever leads next never
meets a write of its predecessor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypedDict

from app.engine.bounds import content_refusal, has_refused_content, kind_refusal, namespace_refusal
from app.engine.json_patch import at_version, json_patch
from app.engine.object_names import found, name_problem
from app.kube.bodies import JsonObject, name_of, namespace_for
from app.kube.client import JSON_PATCH, MERGE_PATCH, Items, KubeClient
from app.kube.errors import IllegalName, NotFound, OutOfBounds
from app.kube.leased import NoLeaseTimeError
from app.kube.resources import PODS, Resource
from app.kube.stream import WatchEvent
from app.kube.transport import Warn

WRITE_TIMEOUT = 10.0
"""Seconds that a write may take unless the settings say otherwise."""
_LEASE_POLL = 0.05
"""Seconds between two looks at the lease while a write is held back."""


def _for_ever() -> float:
    return float("inf")


@dataclass(frozen=True, slots=True)
class WriteLease:
    """How much of the leader's lease is left, and how much of it a write takes.

    `write_timeout` is how long an answer to a write may take, in seconds: a write needs so much of the lease.
    """

    remaining: Callable[[], float] = _for_ever
    write_timeout: float = WRITE_TIMEOUT

    async def demand(self) -> None:
        """Wait until there is enough of the lease for a write; NoLeaseTimeError when it is not renewed in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.write_timeout
        while (left := self.remaining()) < self.write_timeout:
            if loop.time() >= until:
                raise NoLeaseTimeError(
                    f"the write was not sent: the leader's lease holds for {left:.1f} s, a write needs "
                    f"{self.write_timeout:g} s; the lease was not renewed, look for the API server's load and health",
                    server="",
                    in_doubt=False,
                )
            await asyncio.sleep(_LEASE_POLL)


ReadNotice = Callable[[str], None]
"""Hears what is about to be read."""


class _Options(TypedDict):
    field_manager: str
    validation: str | None
    warn: Warn
    timeout: float


def _unheard(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Writing:
    """How an action writes: under whose name, how strictly, and who hears the API server's warnings (decision A9)."""

    manager: str = "drplan-controller"
    """Field manager."""
    validation: str | None = None
    """What becomes of unknown and doubled fields: Strict, Warn or Ignore; the server's own way (Warn) when None."""
    warn: Warn = _unheard


class BoundedClient:
    """What of `KubeClient` an action may use, within bounds; its methods are those of the same names there.

    They raise OutOfBounds for what nobody's action may touch, and NoLeaseTimeError for a write that came too late.
    """

    def __init__(
        self,
        kube: KubeClient,
        own_namespace: str,
        lease: WriteLease | None = None,
        writing: Writing | None = None,
        note: ReadNotice = _unheard,
    ) -> None:
        self._kube = kube
        self._own = own_namespace
        self._lease = lease or WriteLease()
        self._writing = writing or Writing()
        self._note = note

    @property
    def manager(self) -> str:
        """The field manager under which this client writes."""
        return self._writing.manager

    def written(self, writing: Writing) -> BoundedClient:
        """Return the same client, which writes as `writing` says."""
        return BoundedClient(self._kube, self._own, self._lease, writing, self._note)

    def noted(self, note: ReadNotice) -> BoundedClient:
        """Return the same client, which tells `note` what it is about to read: an object, or those of a kind."""
        return BoundedClient(self._kube, self._own, self._lease, self._writing, note)

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        """Return the resource type that serves `apiVersion` and `kind`."""
        return await self._kube.resource_for(api_version, kind)

    async def describes_status(self, resource: Resource) -> bool | None:
        """Whether the schema of a kind has a status though none is served apart; None while that cannot be told."""
        return await self._kube.describes_status(resource)

    async def served_now(self, group: str, kind: str) -> Resource | None:
        """Return the resource type of a kind in whatever version of its group is served."""
        return await self._kube.served_now(group, kind)

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> JsonObject:
        """Read one object."""
        self._check(resource, namespace, name)
        self._note(f"{resource.kind} {'/'.join(part for part in (namespace, name) if part)}")
        return self._shown(resource, await self._kube.get(resource, name, namespace=namespace))

    async def list(
        self, resource: Resource, *, namespace: str | None = None, field_selector: str | None = None
    ) -> JsonObject:
        """Read a collection in one go, as a List object."""
        self._check(resource, namespace)
        found = await self._kube.list(resource, namespace=namespace, field_selector=field_selector)
        return {**found, "items": self._without_own(resource, found["items"])}

    async def list_all(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None
    ) -> Items:
        """Read a whole collection in pages."""
        self._check(resource, namespace)
        found = await self._kube.list_all(resource, namespace=namespace, label_selector=label_selector)
        return self._without_own(resource, found)

    async def pages(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None
    ) -> AsyncGenerator[Items]:
        """Read a collection page by page; wrap it in `contextlib.aclosing`."""
        self._check(resource, namespace)
        self._note(f"the {resource.plural} of {f'namespace {namespace}' if namespace else 'all namespaces'}")
        async with aclosing(self._kube.pages(resource, namespace=namespace, label_selector=label_selector)) as pages:
            async for page in pages:
                yield self._without_own(resource, page)

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str,
        field_selector: str | None = None,
    ) -> AsyncGenerator[WatchEvent]:
        """Watch a collection; wrap it in `contextlib.aclosing`."""
        self._check(resource, namespace)
        watch = self._kube.watch(
            resource, namespace=namespace, resource_version=resource_version, field_selector=field_selector
        )
        async with aclosing(watch) as events:
            async for event in events:
                if event.type == "BOOKMARK" or not self._refusal(resource, event.object):
                    yield event

    async def pod_log(self, name: str, namespace: str, *, tail_lines: int = 20) -> str:
        """Read the last lines of a pod's log."""
        self._check(PODS, namespace, name)
        return await self._kube.pod_log(name, namespace, tail_lines=tail_lines)

    async def create(self, resource: Resource, body: Mapping[str, Any], *, namespace: str | None = None) -> JsonObject:
        """Create an object."""
        self._check_body(resource, namespace, name_of(body), body)
        await self._lease.demand()
        return await self._kube.create(resource, body, namespace=namespace, **self._as_written())

    async def change(
        self,
        resource: Resource,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        *,
        name: str,
        namespace: str | None = None,
    ) -> JsonObject:
        """Make `after` of an object that is still `before`, by a JSON patch; Conflict when it is not that any more.

        Nothing is sent when there is nothing to change.
        """
        self._check_body(resource, namespace, name, after)
        self._check_type(resource, name, before)
        changes = await asyncio.to_thread(json_patch, before, after)
        if not changes:
            return dict(before)
        operations = at_version(changes, str(before["metadata"]["resourceVersion"]))
        await self._lease.demand()
        return await self._kube.patch(
            resource, name, operations, namespace=namespace, content_type=JSON_PATCH, **self._as_written()
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str | None = None,
        content_type: str = MERGE_PATCH,
    ) -> JsonObject:
        """Patch an object; a resourceVersion in the patch is a precondition."""
        self._check_body(resource, namespace, name, patch)
        await self._check_stored(resource, namespace, name)
        await self._lease.demand()
        return await self._kube.patch(
            resource, name, patch, namespace=namespace, content_type=content_type, **self._as_written()
        )

    async def apply(
        self, resource: Resource, body: Mapping[str, Any], *, name: str, namespace: str | None = None
    ) -> tuple[JsonObject, bool]:
        """Apply an object server-side; a resourceVersion in the body is a precondition."""
        self._check_body(resource, namespace, name, body)
        await self._check_stored(resource, namespace, name)
        await self._lease.demand()
        return await self._kube.apply(resource, body, name=name, namespace=namespace, **self._as_written())

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> JsonObject:
        """Delete an object, if it still has that uid and resourceVersion."""
        self._check(resource, namespace, name)
        await self._lease.demand()
        return await self._kube.delete(
            resource,
            name,
            namespace=namespace,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
            timeout=self._lease.write_timeout,
        )

    def _as_written(self) -> _Options:
        return {
            "field_manager": self._writing.manager,
            "validation": self._writing.validation,
            "warn": self._writing.warn,
            "timeout": self._lease.write_timeout,
        }

    def _check(self, resource: Resource, namespace: str | None, name: str | None = None) -> None:
        """Raise OutOfBounds for a request that must not be made, IllegalName for one that cannot."""
        if name is not None and (problem := name_problem(name)):
            raise IllegalName(f"metadata.name of a {resource.kind} {problem}{found(name)}")
        refusal = kind_refusal(resource.group, plural=resource.plural, kind=resource.kind, name=name or "")
        refusal = refusal or namespace_refusal(
            self._own, namespace or "", group=resource.group, kind=_scope_kind(resource), name=name or ""
        )
        if refusal:
            where = "/".join(part for part in (namespace, name) if part)
            raise OutOfBounds(f"{resource.kind} {where} is refused: {refusal}")

    def _check_body(self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]) -> None:
        """Check what is about to be written: also by the name and namespace that the body itself has."""
        metadata = body.get("metadata") or {}
        self._check(resource, namespace_for(resource, namespace, body), name)
        self._check(resource, metadata.get("namespace") or namespace, metadata.get("name") or name)
        self._check_type(resource, name, body)

    async def _check_stored(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Check what is about to be changed: a body need not say the type that the stored object has."""
        if not has_refused_content(resource.group, resource.kind):
            return
        with suppress(NotFound):
            self._check_type(resource, name, await self._kube.get(resource, name, namespace=namespace))

    def _check_type(self, resource: Resource, name: str, obj: Mapping[str, Any]) -> None:
        if refusal := content_refusal(resource.group, resource.kind, obj.get("type")):
            raise OutOfBounds(f"{resource.kind} {name} is refused: {refusal}")

    def _refusal(self, resource: Resource, obj: Mapping[str, Any]) -> str:
        metadata = obj.get("metadata") or {}
        place, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
        return namespace_refusal(self._own, place, group=resource.group, kind=_scope_kind(resource), name=name)

    def _shown(self, resource: Resource, obj: JsonObject) -> JsonObject:
        if refusal := self._refusal(resource, obj):
            raise OutOfBounds(f"{resource.kind} {(obj.get('metadata') or {}).get('name')} is refused: {refusal}")
        return obj

    def _without_own(self, resource: Resource, items: Items) -> Items:
        return [item for item in items if not self._refusal(resource, item)]


def _scope_kind(resource: Resource) -> str:
    """Return the kind by what is served: whatever a Namespace is called, it is the resource that counts."""
    return "Namespace" if (resource.group, resource.plural) == ("", "namespaces") else resource.kind
