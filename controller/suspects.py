"""Objects at which processes ended before: recorded in the controller's namespace, and left alone when it is certain.

An object is named by what the process before was computing when it ended (`app.runtime.last_work`). It costs a write
only then, and when the object turns out well after all. A run under way is not judged here: the journal counts how
often it breaks off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.kube.fresh import Attempts
from app.kube.kept import COMPONENT_LABEL
from app.kube.resources import CONFIG_MAPS, Resource
from app.models.stored import members
from app.runtime.last_work import Left, Work
from app.runtime.logging import get_logger

log = get_logger(__name__)

NAME: Final = "drplan-suspects"
MOST_ENDS: Final = 3
"""Ends of the process during work on an object after which it is left alone. One is enough where the work went on for
long; a single short step may have been hit by an end that had another cause."""
MOST_SUSPECTS: Final = 200

Counts = dict[str, tuple[int, int]]
"""Generation and ends, by uid."""


def work_of(resource: Resource, stored: Mapping[str, Any]) -> Work:
    """Return what the work on an object is called."""
    metadata = stored["metadata"]
    return Work(
        resource.kind, metadata.get("namespace") or "", metadata["name"], metadata["uid"], _generation(metadata)
    )


class Suspects:
    """The record. Without an API server nothing is suspected."""

    def __init__(self, kube: KubeClient | None = None, namespace: str = "", left: Iterable[Left] = ()) -> None:
        """`left` is what the process before was working on when it ended."""
        self._kube = kube
        self._namespace = namespace
        self._left = tuple(left)
        self._known: Counts = {}
        self._told: set[str] = set()
        self._one_writer = asyncio.Lock()

    async def load(self) -> None:
        """Read the record, with what the process before left put in. An API server that refuses stops nothing."""
        for left in self._left:
            log.warning(
                "the process before ended while it worked on this object",
                kind=left.work.kind,
                object=f"{left.work.namespace}/{left.work.name}",
                long=left.long,
            )
        try:
            self._known = await self._changed(self._with_left)
            self._left = ()
        except KubeError as error:
            log.warning("the record of objects that ended the process is not to be had", error=str(error))
            self._known = self._with_left(self._known)

    def refusal(self, stored: Mapping[str, Any]) -> str:
        """Why an object is left alone; empty when it is not."""
        metadata = members(stored.get("metadata"))
        generation, ends = self._known.get(str(metadata.get("uid")), (0, 0))
        if ends < MOST_ENDS or generation != _generation(metadata):
            return ""
        return (
            "the controller has ended while it worked on this object, so it leaves it alone until its spec changes; "
            f"to have it tried again, delete ConfigMap {self._namespace}/{NAME} and restart the controller"
        )

    def is_news(self, stored: Mapping[str, Any]) -> bool:
        """Tell once of each object."""
        uid = str(stored["metadata"]["uid"])
        is_new = uid not in self._told
        self._told.add(uid)
        return is_new

    async def cleared(self, stored: Mapping[str, Any]) -> None:
        """Forget an object that was worked on without harm."""
        uid = str(stored["metadata"].get("uid"))
        if uid not in self._known or self.refusal(stored):
            return
        try:
            self._known = await self._changed(lambda known: {key: each for key, each in known.items() if key != uid})
        except KubeError as error:
            log.warning("an object stays under suspicion", error=str(error))

    def _with_left(self, known: Counts) -> Counts:
        counts = dict(known)
        for left in self._left:
            generation, ends = counts.pop(left.work.uid, (left.work.generation, 0))
            if generation != left.work.generation:
                ends = 0
            counts[left.work.uid] = left.work.generation, MOST_ENDS if left.long else ends + 1
        fewest_first = sorted(counts, key=lambda uid: counts[uid][1])
        for uid in fewest_first[: max(0, len(counts) - MOST_SUSPECTS)]:
            del counts[uid]
        return counts

    async def _changed(self, change: Callable[[Counts], Counts]) -> Counts:
        """Change the record; return it. Nothing is written when it is as it should be."""
        if self._kube is None:
            return change({})
        async with self._one_writer:
            attempts = Attempts(f"ConfigMap {NAME}")
            while True:
                try:
                    stored = await self._kube.get(CONFIG_MAPS, NAME, namespace=self._namespace)
                except NotFound:
                    stored = None
                known = _counts_of(stored)
                wanted = change(known)
                if wanted == known:
                    return known
                try:
                    await self._write(self._kube, stored, wanted)
                except (Conflict, AlreadyExists, NotFound):
                    attempts.conflict()
                    continue
                return wanted

    async def _write(self, kube: KubeClient, stored: dict[str, Any] | None, counts: Counts) -> None:
        data = {uid: orjson.dumps(each).decode() for uid, each in counts.items()}
        if stored is not None:
            await kube.replace(CONFIG_MAPS, {**stored, "data": data})
            return
        labels = {COMPONENT_LABEL: "suspects"}
        metadata = {"name": NAME, "namespace": self._namespace, "labels": labels}
        await kube.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _generation(metadata: Mapping[str, Any]) -> int:
    return int(metadata.get("generation") or 0)


def _counts_of(stored: Mapping[str, Any] | None) -> Counts:
    found: Counts = {}
    for uid, text in members((stored or {}).get("data")).items():
        try:
            generation, ends = orjson.loads(text)
            found[uid] = int(generation), int(ends)
        except (ValueError, TypeError):
            log.warning("an entry of the record of suspects cannot be read", uid=uid)
    return found
