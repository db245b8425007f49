"""Snapshots of runs and prior states of objects, in immutable ConfigMaps of the controller's namespace."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.kube.kept import (
    COMPONENT_LABEL,
    PRIOR,
    SELECTOR,
    SNAPSHOT,
    DamagedError,
    Object,
    Owner,
    Place,
    digest_of,
    index_of,
    joined,
    outcome_name,
    owner_of,
    packed,
    part_name,
    parts_of,
    records_selector,
    unpacked,
)
from app.kube.resources import CONFIG_MAPS
from app.models.names import EXECUTION_UID_LABEL
from app.models.snapshot import FORMAT, Snapshot
from app.runtime.last_work import to_thread
from app.runtime.parts import decoded_in_thread

REPLACE_TRIES = 3
"""How often a leftover is replaced in a row before the start is tried again as a whole."""


class PriorDamagedError(KubeError):
    """A prior state that is there and cannot be used; the message names the ConfigMap and what to do."""


class SnapshotDamagedError(Exception):
    """A snapshot that is there and cannot be used; the message names the ConfigMap and what to do."""


class SnapshotStore:
    """Saves, reads and removes what belongs to a run. Methods raise `KubeError` when the API server does not do it."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def save(self, snapshot: Snapshot) -> Snapshot:
        """Store a snapshot and return it with its digest. What an earlier try left is replaced."""
        owner = Owner(snapshot.execution_uid, snapshot.execution_namespace, snapshot.execution_name)
        place = Place(self._namespace, _index_name(owner.uid), SNAPSHOT, owner)
        content, parts, index = await to_thread(_config_maps, place, snapshot.dump)
        for body in (*parts, index):
            await self._create_or_replace(body)
        return snapshot.model_copy(update={"digest": digest_of(content)})

    async def load(self, uid: str) -> Snapshot | None:
        """Return the snapshot of the run `uid`, or None when it has no complete one. Raises `SnapshotDamagedError`."""
        name = _index_name(uid)
        content = await self._load_content(name, "snapshot")
        if content is None:
            return None
        try:
            return await to_thread(_loaded, content)
        except (ValidationError, OSError, EOFError, ValueError) as error:
            raise SnapshotDamagedError(f"snapshot {self._namespace}/{name} cannot be read: {error}") from error

    async def _load_content(self, name: str, what: str) -> bytes | None:
        """Return what the index `name` stands for; None without one. Raises `SnapshotDamagedError`."""
        try:
            index = await self._kube.get(CONFIG_MAPS, name, namespace=self._namespace)
            parts = [
                await self._kube.get(CONFIG_MAPS, part_name(name, number), namespace=self._namespace)
                for number in range(1, parts_of(index) + 1)
            ]
            return joined(what, index, parts)
        except NotFound as error:
            if error.details.get("name") == name:
                return None
            raise SnapshotDamagedError(f"{what} {self._namespace}/{name} has lost a part: {error}") from error
        except (DamagedError, ValueError) as error:
            raise SnapshotDamagedError(str(error)) from error

    async def delete(self, uid: str, *, keep_priors: bool = False) -> None:
        """Remove what is kept of the run `uid`, its records included; with `keep_priors` its snapshot only."""
        components = f"{COMPONENT_LABEL}={SNAPSHOT}" if keep_priors else SELECTOR
        selectors = [f"{components},{EXECUTION_UID_LABEL}={uid}"] + ([] if keep_priors else [records_selector(uid)])
        found = [item["metadata"]["name"] for selector in selectors async for item in self._listed(selector)]
        # the indexes go first: without them the rest is nothing
        indexes = (_index_name(uid), outcome_name(uid))
        for name in sorted(found, key=lambda name: name not in indexes):
            await self._remove(name)

    async def owners(self) -> list[Owner]:
        """Return the runs that something is stored for."""
        found = {owner.uid: owner async for item in self._listed(SELECTOR) if (owner := owner_of(item)) is not None}
        return list(found.values())

    async def _listed(self, selector: str) -> AsyncGenerator[Object]:
        """Read the metadata of what is stored: all together it may be gigabytes."""
        pages = self._kube.pages(CONFIG_MAPS, namespace=self._namespace, label_selector=selector, metadata_only=True)
        async with aclosing(pages):
            async for page in pages:
                for item in page:
                    yield item

    def priors(self, owner: Owner) -> PriorStateStore:
        """Return the prior states of the objects that a run changed."""
        return PriorStateStore(self, owner)

    async def save_prior(self, owner: Owner, key: str, obj: Mapping[str, Any] | None) -> bool:
        """See `PriorStates.save`."""
        parts, index = await self._prior(owner, key, obj)
        if parts and await self._exists(index["metadata"]["name"]):
            return False  # its parts must not be replaced by those of a later state
        for part in parts:
            await self._create_or_replace(part)
        with suppress(AlreadyExists):
            await self._kube.create(CONFIG_MAPS, index)
            return True
        return False

    async def replace_prior(self, owner: Owner, key: str, obj: Mapping[str, Any]) -> None:
        """See `PriorStates.replace`. The index goes first, so that it never stands for parts of two records."""
        parts, index = await self._prior(owner, key, obj)
        if await self._is_stored(index):
            return
        for body in (*parts, index):
            await self._create_or_replace(body)

    async def _prior(self, owner: Owner, key: str, obj: Mapping[str, Any] | None) -> tuple[list[Object], Object]:
        place = Place(self._namespace, _prior_name(owner.uid, key), PRIOR, owner)
        _, parts, index = await to_thread(_config_maps, place, lambda: {"key": key, "object": obj})
        return parts, index

    async def load_prior(self, owner: Owner, key: str) -> tuple[bool, dict[str, Any] | None]:
        """See `PriorStates.load`. Raises `PriorDamagedError`."""
        name = _prior_name(owner.uid, key)
        try:
            content = await self._load_content(name, "prior state")
            return (False, None) if content is None else (True, unpacked(content)["object"])
        except (SnapshotDamagedError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise PriorDamagedError(
                f"the record of what an object was like before, ConfigMap {self._namespace}/{name}, cannot be used: "
                f"{error}; restore it from a backup, or delete it to do without"
            ) from error

    async def _exists(self, name: str) -> bool:
        try:
            await self._kube.get(CONFIG_MAPS, name, namespace=self._namespace)
        except NotFound:
            return False
        return True

    async def _create_or_replace(self, body: Object) -> None:
        """Store a ConfigMap; what has its name and another content is a leftover, and is replaced.

        It is deleted by its uid: a deletion that a deposed leader sent and that arrives late must not hit what its
        successor has stored meanwhile.
        """
        for _ in range(REPLACE_TRIES):
            try:
                await self._kube.create(CONFIG_MAPS, body)
            except AlreadyExists:
                if await self._is_stored(body):
                    return
            else:
                return
        raise Conflict(409, "Conflict", f"ConfigMap {body['metadata']['name']} is being written by another one")

    async def _is_stored(self, body: Object) -> bool:
        """Tell whether a ConfigMap is there as it should be; one of other content is deleted."""
        name = body["metadata"]["name"]
        try:
            live = await self._kube.get(CONFIG_MAPS, name, namespace=self._namespace)
            if all((live.get(member) or {}) == body[member] for member in ("data", "binaryData")):
                return True
            await self._kube.delete(CONFIG_MAPS, name, namespace=self._namespace, uid=live["metadata"]["uid"])
        except (NotFound, Conflict):
            return False
        return False

    async def _remove(self, name: str) -> None:
        try:
            await self._kube.delete(CONFIG_MAPS, name, namespace=self._namespace)
        except NotFound:
            return


@dataclass(frozen=True, slots=True)
class PriorStateStore:
    """The prior states of one run; see `controller.actions.base.PriorStates`."""

    store: SnapshotStore
    owner: Owner

    async def save(self, key: str, obj: Mapping[str, Any] | None) -> bool:
        """Record `obj`, or its absence, before it is changed. The first record stays; tell whether it is this."""
        return await self.store.save_prior(self.owner, key, obj)

    async def replace(self, key: str, obj: Mapping[str, Any]) -> None:
        """Record `obj` in the place of whatever was recorded under the key."""
        await self.store.replace_prior(self.owner, key, obj)

    async def load(self, key: str) -> tuple[bool, dict[str, Any] | None]:
        """Return whether there is a record, and the object (None: it was absent)."""
        return await self.store.load_prior(self.owner, key)


def _config_maps(place: Place, dump: Callable[[], dict[str, Any]]) -> tuple[bytes, list[Object], Object]:
    content = packed(dump())
    return content, *index_of(place, content, FORMAT)


def _loaded(content: bytes) -> Snapshot:
    return decoded_in_thread(Snapshot, unpacked(content)).model_copy(update={"digest": digest_of(content)})


def _index_name(uid: str) -> str:
    return f"drplan-snapshot-{uid}"


def _prior_name(uid: str, key: str) -> str:
    return f"drplan-prior-{uid}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
