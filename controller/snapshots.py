"""Snapshots of runs and prior states of objects, in immutable ConfigMaps of the controller's namespace.

Both are compressed JSON. What is too large for a ConfigMap is split: parts first, the index last, so that what has an
index is complete and what has none is none.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.kube.resources import CONFIG_MAPS
from app.models.base import GROUP
from app.models.names import EXECUTION_UID_LABEL
from app.models.snapshot import FORMAT, Snapshot

PART_BYTES = 600 * 1024
"""Compressed bytes in one ConfigMap: base64 makes a third more of it, and an object may have about 1 MiB."""
COMPONENT_LABEL = f"{GROUP}/component"
OWNER_ANNOTATION = f"{GROUP}/execution"
SNAPSHOT = "snapshot"
REPLACE_TRIES = 3
"""How often a leftover is replaced in a row before the start is tried again as a whole."""
PRIOR = "prior-state"
SELECTOR = f"{COMPONENT_LABEL} in ({SNAPSHOT},{PRIOR})"


class PriorDamagedError(KubeError):
    """A prior state that is there and cannot be used; the message names the ConfigMap and what to do."""


class SnapshotDamagedError(Exception):
    """A snapshot that is there and cannot be used; the message names the ConfigMap and what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The execution that something stored belongs to."""

    uid: str
    namespace: str
    name: str


class SnapshotStore:
    """Saves, reads and removes what belongs to a run. Methods raise `KubeError` when the API server does not do it."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def save(self, snapshot: Snapshot) -> None:
        """Store a snapshot, parts first. Leftovers of an earlier try without an index are replaced."""
        owner = Owner(snapshot.execution_uid, snapshot.execution_namespace, snapshot.execution_name)
        packed = gzip.compress(orjson.dumps(snapshot.dump()), compresslevel=6, mtime=0)
        name = _index_name(owner.uid)
        chunks = await self._save_parts(name, owner, SNAPSHOT, packed)
        index = self._config_map(name, owner, SNAPSHOT, {"format": str(FORMAT), **_index_of(packed, chunks)}, chunks[0])
        await self._create_or_replace(index)

    async def _save_parts(self, name: str, owner: Owner, component: str, packed: bytes) -> list[bytes]:
        """Store what does not fit into the index `name`; return all chunks, of which the first belongs there."""
        chunks = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
        for number, chunk in enumerate(chunks[1:], start=1):
            await self._create_or_replace(self._config_map(_part_name(name, number), owner, component, {}, chunk))
        return chunks

    async def load(self, uid: str) -> Snapshot | None:
        """Return the snapshot of the run `uid`, or None when it has no complete one. Raises `SnapshotDamagedError`."""
        name = _index_name(uid)
        packed = await self._load_packed(name, "snapshot")
        if packed is None:
            return None
        try:
            return Snapshot.load(orjson.loads(gzip.decompress(packed)))
        except (ValidationError, OSError, ValueError) as error:
            raise SnapshotDamagedError(f"snapshot {self._namespace}/{name} cannot be read: {error}") from error

    async def _load_packed(self, name: str, what: str) -> bytes | None:
        """Return what the index `name` stands for; None without one. Raises `SnapshotDamagedError`."""
        try:
            index = await self._kube.get(CONFIG_MAPS, name, namespace=self._namespace)
            chunks, data = [_content(index)], index.get("data") or {}
            for number in range(1, int(data.get("parts", 0)) + 1):
                part = await self._kube.get(CONFIG_MAPS, _part_name(name, number), namespace=self._namespace)
                chunks.append(_content(part))
        except NotFound as error:
            if error.details.get("name") == name:
                return None
            raise SnapshotDamagedError(f"{what} {self._namespace}/{name} has lost a part: {error}") from error
        packed = b"".join(chunks)
        if "sha256" in data and hashlib.sha256(packed).hexdigest() != data["sha256"]:
            raise SnapshotDamagedError(f"{what} {self._namespace}/{name} was changed: its checksum does not match")
        return packed

    async def delete(self, uid: str, *, keep_priors: bool = False) -> None:
        """Remove what belongs to the run `uid`; with `keep_priors` its snapshot only."""
        components = f"{COMPONENT_LABEL}={SNAPSHOT}" if keep_priors else SELECTOR
        selector = f"{components},{EXECUTION_UID_LABEL}={uid}"
        found = await self._kube.list_all(CONFIG_MAPS, namespace=self._namespace, label_selector=selector)
        # the index goes first: without it the rest is no snapshot
        for item in sorted(found, key=lambda item: item["metadata"]["name"] != _index_name(uid)):
            await self._remove(item["metadata"]["name"])

    async def owners(self) -> list[Owner]:
        """Return the runs that something is stored for."""
        found = await self._kube.list_all(CONFIG_MAPS, namespace=self._namespace, label_selector=SELECTOR)
        owners = {}
        for item in found:
            uid = item["metadata"]["labels"].get(EXECUTION_UID_LABEL, "")
            namespace, _, name = item["metadata"].get("annotations", {}).get(OWNER_ANNOTATION, "").partition("/")
            if uid and name:
                owners[uid] = Owner(uid, namespace, name)
        return list(owners.values())

    def priors(self, owner: Owner) -> PriorStateStore:
        """Return the prior states of the objects that a run changed."""
        return PriorStateStore(self, owner)

    async def save_prior(self, owner: Owner, key: str, obj: Mapping[str, Any] | None) -> None:
        """See `PriorStates.save`."""
        packed = gzip.compress(orjson.dumps({"key": key, "object": obj}), mtime=0)
        name = _prior_name(owner.uid, key)
        if len(packed) > PART_BYTES and await self._exists(name):
            return  # its parts must not be replaced by those of a later state
        chunks = await self._save_parts(name, owner, PRIOR, packed)
        with suppress(AlreadyExists):
            index = self._config_map(name, owner, PRIOR, _index_of(packed, chunks), chunks[0])
            await self._kube.create(CONFIG_MAPS, index)

    async def load_prior(self, owner: Owner, key: str) -> tuple[bool, dict[str, Any] | None]:
        """See `PriorStates.load`. Raises `PriorDamagedError`."""
        name = _prior_name(owner.uid, key)
        try:
            packed = await self._load_packed(name, "prior state")
            return (False, None) if packed is None else (True, orjson.loads(gzip.decompress(packed))["object"])
        except (SnapshotDamagedError, OSError, ValueError, KeyError, TypeError) as error:
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

    async def _create_or_replace(self, config_map: dict[str, Any]) -> None:
        """Store a ConfigMap; what has its name and another content is a leftover, and is replaced.

        It is deleted by its uid: a deletion that a deposed leader sent and that arrives late must not hit what its
        successor has stored meanwhile.
        """
        for _ in range(REPLACE_TRIES):
            try:
                await self._kube.create(CONFIG_MAPS, config_map)
            except AlreadyExists:
                if await self._is_stored(config_map):
                    return
            else:
                return
        raise Conflict(409, "Conflict", f"ConfigMap {config_map['metadata']['name']} is being written by another one")

    async def _is_stored(self, config_map: dict[str, Any]) -> bool:
        """Tell whether a ConfigMap is there as it should be; one of other content is deleted."""
        name = config_map["metadata"]["name"]
        try:
            live = await self._kube.get(CONFIG_MAPS, name, namespace=self._namespace)
            if all((live.get(member) or {}) == config_map[member] for member in ("data", "binaryData")):
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

    def _config_map(
        self, name: str, owner: Owner, component: str, data: dict[str, str], content: bytes
    ) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": {COMPONENT_LABEL: component, EXECUTION_UID_LABEL: owner.uid},
                "annotations": {OWNER_ANNOTATION: f"{owner.namespace}/{owner.name}"},
            },
            "immutable": True,
            "data": data,
            "binaryData": {"content": base64.b64encode(content).decode()},
        }


@dataclass(frozen=True, slots=True)
class PriorStateStore:
    """The prior states of one run; see `controller.actions.base.PriorStates`."""

    store: SnapshotStore
    owner: Owner

    async def save(self, key: str, obj: Mapping[str, Any] | None) -> None:
        """Record `obj`, or its absence, before it is changed. The first record of a key stays."""
        await self.store.save_prior(self.owner, key, obj)

    async def load(self, key: str) -> tuple[bool, dict[str, Any] | None]:
        """Return whether there is a record, and the object (None: it was absent)."""
        return await self.store.load_prior(self.owner, key)


def _index_name(uid: str) -> str:
    return f"drplan-snapshot-{uid}"


def _part_name(index: str, number: int) -> str:
    return f"{index}-{number}"


def _index_of(packed: bytes, chunks: Sequence[bytes]) -> dict[str, str]:
    """Return what an index says of the whole."""
    return {"parts": str(len(chunks) - 1), "sha256": hashlib.sha256(packed).hexdigest()}


def _prior_name(uid: str, key: str) -> str:
    return f"drplan-prior-{uid}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _content(config_map: dict[str, Any]) -> bytes:
    return base64.b64decode(config_map["binaryData"]["content"])
