"""The journal's head: a ConfigMap beside the segments that tells the next leader whether it has all of them.

Segments alone cannot tell that one of them is missing. The head names those that exist, when their leader was last
alive and whether it ended in order. It is written after a segment was made and before one is deleted, so that a
segment that it names and that is not there was deleted by somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from app.engine.events import from_microseconds, to_microseconds
from app.kube.client import KubeClient
from app.kube.errors import Invalid, NotFound
from app.kube.resources import CONFIG_MAPS
from app.runtime.logging import get_logger
from controller.journal.format import COMPONENT_LABEL, MOST, Header
from controller.journal.store import demand_not_wound_back

log = get_logger(__name__)

NAME = "drplan-journalhead"
DATA_KEY = "head"
COMPONENT = "journal-head"


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of the journal apart from its segments."""

    header: Header
    """The leader that wrote it."""
    segments: tuple[int, ...]
    """Numbers of the segments that exist, the newest one last."""
    since: datetime
    """When that leader had taken everything over."""
    alive: datetime
    """When a leader that had taken everything over last said that it lives."""
    ended_in_order: bool = False
    """Whether that leader said good-bye. One that was killed did not."""
    covered: Mapping[str, int] = field(default_factory=dict)
    """The last entry of each run, by uid, that a status was known to include."""
    unsure: str = ""
    """Why the past of the runs under way is not known; empty when it is. It stays until each of them has been told."""

    @property
    def last(self) -> int:
        """The highest number that a segment ever had; 0 without any."""
        return max(self.segments, default=0)


def encode(head: Head) -> str:
    """Return the stored form."""
    data = {
        "leader": head.header.leader,
        "epoch": head.header.epoch,
        "segments": list(head.segments),
        "since": to_microseconds(head.since),
        "alive": to_microseconds(head.alive),
        "endedInOrder": head.ended_in_order,
        "covered": dict(head.covered),
        "unsure": head.unsure,
    }
    return orjson.dumps(data).decode()


def decode(text: str) -> Head | None:
    """Read the stored form. None: somebody has made something else of it, which is as if it were gone."""
    try:
        data = orjson.loads(text)
        return Head(
            header=Header(str(data["leader"]), _count(data["epoch"])),
            segments=tuple(_count(number) for number in data["segments"]),
            since=from_microseconds(int(data["since"])),
            alive=from_microseconds(int(data["alive"])),
            ended_in_order=bool(data.get("endedInOrder")),
            covered={str(uid): _count(sequence) for uid, sequence in data.get("covered", {}).items()},
            unsure=str(data.get("unsure", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        log.error("the journal's head cannot be read and is made anew", name=NAME, error=str(error))
        return None


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < MOST:
        raise ValueError(f"{value!r} counts nothing")
    return value


class HeadStore:
    """Reads and writes the head; a write replaces the version that was read or written last (design: the fence)."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._version = ""

    async def read(self) -> Head | None:
        """Return the head as it is stored; None when there is none. Raises `WoundBackError` and `KubeError`."""
        known = self._version
        try:
            stored = await self._kube.get(CONFIG_MAPS, NAME, namespace=self._namespace)
        except NotFound:
            self._version = ""
            return None
        version = stored["metadata"]["resourceVersion"]
        self._version = version
        demand_not_wound_back(NAME, known, version)
        return decode((stored.get("data") or {}).get(DATA_KEY, ""))

    async def write(self, head: Head) -> None:
        """Store `head`. Raises `KubeError`; `Conflict`, `AlreadyExists`, `NotFound` when it is not as last seen."""
        metadata: dict[str, Any] = {
            "name": NAME,
            "namespace": self._namespace,
            "labels": {COMPONENT_LABEL: COMPONENT},
        }
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {DATA_KEY: encode(head)}}
        if self._version:
            metadata["resourceVersion"] = self._version
            try:
                stored = await self._kube.replace(CONFIG_MAPS, body)
            except Invalid as refusal:
                await self._remove_immutable(refusal)
                del metadata["resourceVersion"]
                stored = await self._kube.create(CONFIG_MAPS, body)
        else:
            stored = await self._kube.create(CONFIG_MAPS, body)
        self._version = stored["metadata"]["resourceVersion"]

    async def _remove_immutable(self, refusal: Invalid) -> None:
        """Delete a head that somebody has made immutable, in the version that was to be replaced; else raise."""
        live = await self._kube.get(CONFIG_MAPS, NAME, namespace=self._namespace)
        if not live.get("immutable"):
            raise refusal
        log.warning("the journal's head was made immutable and is made anew", name=NAME)
        await self._kube.delete(CONFIG_MAPS, NAME, namespace=self._namespace, resource_version=self._version)

    async def delete(self) -> None:
        """Delete the head, with the journal that it belongs to. Raises `KubeError`."""
        with suppress(NotFound):
            await self._kube.delete(CONFIG_MAPS, NAME, namespace=self._namespace)
