"""Segments that somebody deletes or changes while their leader lives are written again from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.errors import KubeError
from app.kube.resources import CONFIG_MAPS
from app.kube.stream import EventType
from app.runtime.logging import get_logger
from controller.journal.format import SELECTOR, Segment
from controller.journal.store import SegmentRefusedError, SegmentStore

log = get_logger(__name__)

RESTORE_RETRY = 5.0
"""Seconds until a segment is written again whose writing was refused."""
SYNC_SECONDS = 60.0
"""How long one try waits for the first list of the journal's watch."""


class Guard:
    """Watches the stored segments. `segments` are those of the leader, `wake` has its writer call `put_right`."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        store: SegmentStore,
        segments: Callable[[], Sequence[Segment]],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._segments = segments
        self._wake = wake
        self._gone: set[int] = set()
        self._touched: dict[int, str] = {}
        """Versions that were seen stored, by number, newer than the own ones known then."""
        self._watch = Cache(kube, CONFIG_MAPS, namespace=namespace, label_selector=SELECTOR, project=_metadata_only)
        self._watch.subscribe(self._on_segment)

    async def watch(self) -> None:
        """Watch until cancelled."""
        await self._watch.run()

    async def notice_missing(self) -> None:
        """Notice what was deleted between the claim and the watch's first list, of which the watch tells nothing."""
        while not self._watch.synced:
            with suppress(KubeError):
                await self._watch.wait_synced(SYNC_SECONDS)
        listed = {item["metadata"]["name"] for item in self._watch.items()}
        self._gone |= {segment.number for segment in self._segments() if segment.name not in listed}
        self._wake()

    async def put_right(self) -> None:
        """Write again what is gone or is no longer what was written. Raises `DeposedError`.

        To be called by whoever writes segments, between two writes.
        """
        gone, self._gone = self._gone, set()
        touched, self._touched = self._touched, {}
        for segment in tuple(self._segments()):
            try:
                if segment.number in gone:
                    log.warning("journal segment was deleted by somebody, writing it again", segment=segment.name)
                    await self._store.restore(segment)
                elif segment.number in touched and _is_newer(touched[segment.number], segment):
                    await self._store.put_right(segment)
            except SegmentRefusedError as refusal:
                log.error("journal segment cannot be written again yet", segment=segment.name, error=str(refusal))
                if segment.number in gone:
                    self._gone.add(segment.number)
                    asyncio.get_running_loop().call_later(RESTORE_RETRY, self._wake)

    def _on_segment(self, event: EventType, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        obj = new or old
        mine = next((s for s in self._segments() if obj is not None and s.name == obj["metadata"]["name"]), None)
        if mine is None:
            return
        if event == "DELETED":
            self._gone.add(mine.number)
            self._wake()
        elif new is not None and _is_newer(version := new["metadata"]["resourceVersion"], mine):
            self._touched[mine.number] = version  # or an own write, of which the answer comes next
            self._wake()


def _is_newer(version: str, segment: Segment) -> bool:
    known = segment.resource_version
    return version.isdecimal() and known.isdecimal() and int(version) > int(known)


def _metadata_only(config_map: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": config_map["metadata"]}
