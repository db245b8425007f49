"""Snapshots of runs and prior states of objects, in immutable ConfigMaps of the controller's namespace.

A snapshot is compressed JSON. One that is too large for a ConfigMap is split: parts first, the index last, so that a
snapshot with an index is complete and one without is none.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, NotFound
from app.kube.resources import CONFIG_MAPS
from app.models.base import GROUP
from app.models.names import EXECUTION_UID_LABEL
from app.models.snapshot import FORMAT, Snapshot

PART_BYTES = 600 * 1024
"""Compressed bytes in one ConfigMap: base64 makes a third more of it, and an object may have about 1 MiB."""
COMPONENT_LABEL = f"{GROUP}/component"
OWNER_ANNOTATION = f"{GROUP}/execution"
SNAPSHOT = "snapshot"
PRIOR = "prior-state"
SELECTOR = f"{COMPONENT_LABEL} in ({SNAPSHOT},{PRIOR})"


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
        chunks = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
        index: dict[str, str] = {
            "format": str(FORMAT),
            "parts": str(len(chunks) - 1),
            "sha256": hashlib.sha256(packed).hexdigest(),
        }
        for number, chunk in enumerate(chunks[1:], start=1):
            await self._create_or_replace(self._config_map(_part_name(owner.uid, number), owner, SNAPSHOT, {}, chunk))
        await self._create_or_replace(self._config_map(_index_name(owner.uid), owner, SNAPSHOT, index, chunks[0]))

    async def load(self, uid: str) -> Snapshot | None:
        """Return the snapshot of the run `uid`, or None when it has no complete one. Raises `SnapshotDamagedError`."""
        name = _index_name(uid)
        try:
            index = await self._kube.get(CONFIG_MAPS, name, namespace=self._namespace)
            chunks = [_content(index)]
            for number in range(1, int(index["data"]["parts"]) + 1):
                part = await self._kube.get(CONFIG_MAPS, _part_name(uid, number), namespace=self._namespace)
                chunks.append(_content(part))
        except NotFound as error:
            if error.details.get("name") == name:
                return None
            raise SnapshotDamagedError(f"snapshot {self._namespace}/{name} has lost a part: {error}") from error
        packed = b"".join(chunks)
        if hashlib.sha256(packed).hexdigest() != index["data"]["sha256"]:
            raise SnapshotDamagedError(f"snapshot {self._namespace}/{name} was changed: its checksum does not match")
        try:
            return Snapshot.load(orjson.loads(gzip.decompress(packed)))
        except (ValidationError, OSError, ValueError) as error:
            raise SnapshotDamagedError(f"snapshot {self._namespace}/{name} cannot be read: {error}") from error

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
        try:
            await self._kube.create(
                CONFIG_MAPS, self._config_map(_prior_name(owner.uid, key), owner, PRIOR, {}, packed)
            )
        except AlreadyExists:
            return

    async def load_prior(self, owner: Owner, key: str) -> tuple[bool, dict[str, Any] | None]:
        """See `PriorStates.load`."""
        try:
            found = await self._kube.get(CONFIG_MAPS, _prior_name(owner.uid, key), namespace=self._namespace)
        except NotFound:
            return False, None
        return True, orjson.loads(gzip.decompress(_content(found)))["object"]

    async def _create_or_replace(self, config_map: dict[str, Any]) -> None:
        try:
            await self._kube.create(CONFIG_MAPS, config_map)
        except AlreadyExists:
            await self._remove(config_map["metadata"]["name"])
            await self._kube.create(CONFIG_MAPS, config_map)

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


def _part_name(uid: str, number: int) -> str:
    return f"drplan-snapshot-{uid}-{number}"


def _prior_name(uid: str, key: str) -> str:
    return f"drplan-prior-{uid}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _content(config_map: dict[str, Any]) -> bytes:
    return base64.b64decode(config_map["binaryData"]["content"])
