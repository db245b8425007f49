"""Segments in the API server: every write ends in `committed`, or in the certainty that another leader took over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from app.kube.client import KubeClient
from app.kube.errors import (
    AlreadyExists,
    ApiError,
    ApiUnavailable,
    Conflict,
    Invalid,
    KubeError,
    NotFound,
    Unauthorized,
    is_transient,
)
from app.kube.resources import CONFIG_MAPS
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from controller.journal.format import (
    COMPONENT,
    COMPONENT_LABEL,
    SELECTOR,
    UNREADABLE,
    Header,
    Segment,
    is_segment_name,
    read_segment,
    segment_name,
    size_of,
    to_config_map,
)

log = get_logger(__name__)

MOST_TOLD = 100
"""ConfigMaps of which it is said that they are no segments."""


class DeposedError(Exception):
    """Another leader has claimed the journal: this process must stop at once."""


class WoundBackError(DeposedError):
    """The journal is older than what this process wrote: etcd was restored from a backup under its feet."""


class SegmentRefusedError(Exception):
    """The API server refuses a segment for good. The text is its answer."""


class SegmentStore:
    """Reads and writes segments of one namespace as `identity`.

    A write is repeated, for as long as it takes, until it is known to be in or refused for good. What comes back from a
    conflict or a time-out is settled by reading: own header means a harmless touch or an own late write, another one
    `DeposedError`.
    """

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._own = Header("", 0)
        self._known: set[str] = set()
        """Names of the segments that were there at the claim or were written since."""
        self._told: set[str] = set()
        self.found: frozenset[int] = frozenset()
        """Numbers of the segments that the claim has found."""

    async def read_all(self) -> list[Segment]:
        """Return all segments in order, by a quorum read."""
        found = await self._kube.list_all(CONFIG_MAPS, namespace=self._namespace, label_selector=SELECTOR)
        segments = [read_segment(item) for item in found if self._is_segment(item["metadata"]["name"])]
        return sorted(segments, key=lambda segment: segment.number)

    def _is_segment(self, name: str) -> bool:
        """Tell whether a ConfigMap with the journal's label belongs to it; of one that does not it is said once."""
        if is_segment_name(name):
            return True
        if name not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(name)
            log.warning("a ConfigMap has the journal's label, is no part of it, and is left alone", name=name)
        return False

    async def read_unlabelled(self, number: int) -> Segment | None:
        """Return a segment that no list has shown: somebody took its label off. None: it is gone."""
        try:
            return read_segment(await self._kube.get(CONFIG_MAPS, segment_name(number), namespace=self._namespace))
        except NotFound:
            return None

    async def relabel(self, segment: Segment) -> None:
        """Store a segment as it is, with its label. Raises `KubeError`, a `Conflict` among them."""
        await self._put(segment)

    async def claim(
        self, identity: str, *, after: Header | None = None, number: int = 0
    ) -> tuple[Header, list[Segment]]:
        """Take the journal over: fence the last leader off and return its segments, the last one being ours and empty.

        The header of the last segment is overwritten first, so that the old leader can no longer append; then the next
        one is created, so that it can no longer roll either. Epochs and numbers go on behind those of `after` and
        `number`, the last that are known from elsewhere: what was deleted by hand is not used again.
        """
        while True:
            segments = await self.read_all()
            last = segments[-1] if segments else None
            known = [after.epoch] if after is not None else []
            header = Header(identity, max([segment.header.epoch for segment in segments] + known, default=0) + 1)
            if last is not None:
                last.header = header
                try:
                    await self._put(last)
                except (Conflict, NotFound):
                    continue
                except Invalid:
                    if not last.immutable:  # such a one nobody can append to
                        raise
            self.found = frozenset(segment.number for segment in segments)
            fresh = Segment(max(last.number if last else 0, number) + 1, "", header, [])
            try:
                await self._post(fresh)
            except AlreadyExists:
                continue
            except ApiError as refusal:
                if last is None or last.immutable or not is_for_good(refusal):
                    raise
                # whoever makes the next one looks at all of them afterwards, and finds this header
                log.warning("no further journal segment can be made yet", after=last.name, error=str(refusal))
            else:
                segments = [*segments, fresh]
            self._own, self._known = header, {segment.name for segment in segments}
            return header, segments

    async def write(self, segment: Segment, *, is_new: bool) -> None:
        """Store `segment`. Returns when it is in; raises `DeposedError`, or `SegmentRefusedError` when it is not taken.

        A new one proves nothing by being accepted: a later leader may have used that number and deleted the segment
        again. So that is followed by a look at all of them.
        """
        backoff = Backoff(initial=0.1, maximum=5.0)
        await self._write(segment, backoff, is_new=is_new)
        if not is_new:
            return
        self._known.add(segment.name)
        try:
            await self.demand_not_deposed(backoff)
        except DeposedError:
            with suppress(KubeError):
                await self._delete(segment)
            raise

    async def demand_current(self, segment: Segment) -> None:
        """Raise `WoundBackError` when a segment is older than what was written of it, or not there; else `KubeError`.

        It is compared with what was written before it was asked for: it may be written again meanwhile.
        """
        known = segment.resource_version
        try:
            live = await self._kube.get(CONFIG_MAPS, segment.name, namespace=self._namespace)
        except NotFound:
            raise WoundBackError(
                f"ConfigMap {segment.name} is gone, or was not there yet in the backup of etcd"
            ) from None
        demand_not_wound_back(segment.name, known, live["metadata"]["resourceVersion"])

    async def restore(self, segment: Segment) -> None:
        """Store a segment again that somebody deleted; raises `DeposedError`, also when that was a later leader."""
        await self.demand_not_deposed(Backoff(initial=0.1, maximum=5.0))
        await self.write(segment, is_new=True)

    async def put_right(self, segment: Segment) -> None:
        """Store a segment again if somebody has made something else of it.

        Raises `DeposedError` and `SegmentRefusedError`.
        """
        backoff = Backoff(initial=0.1, maximum=5.0)
        is_in, is_new = await self._read_back(segment, backoff)
        if not is_in:
            log.warning("journal segment was changed by somebody, writing it again", segment=segment.name)
            await self._write(segment, backoff, is_new=is_new)

    async def confirm(self) -> None:
        """Look once whether the journal is still this leader's; raises `DeposedError` and `KubeError`."""
        self._demand_own(await self.read_all())

    async def _write(self, segment: Segment, backoff: Backoff, *, is_new: bool) -> None:
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await (self._post(segment) if is_new else self._put(segment))
            except (Conflict, AlreadyExists, NotFound, ApiUnavailable) as error:
                metrics.journal_writes_total.labels(result=_result(error)).inc()
                if isinstance(error, ApiUnavailable):
                    log.warning("journal write unanswered, reading back", segment=segment.name, error=str(error))
                if isinstance(error, ApiUnavailable) or (is_new and isinstance(error, NotFound)):
                    await asyncio.sleep(backoff.next())
                is_in, is_new = await self._read_back(segment, backoff)
                if is_in:
                    return
            except ApiError as error:
                metrics.journal_writes_total.labels(result="refused").inc()
                if is_for_good(error):
                    raise SegmentRefusedError(str(error)) from error
                log.error("journal write refused, trying again", segment=segment.name, error=str(error))
                await asyncio.sleep(backoff.next())
            else:
                metrics.journal_writes_total.labels(result="ok").inc()
                metrics.journal_write_seconds.observe(asyncio.get_running_loop().time() - started)
                return

    async def delete(self, segment: Segment) -> None:
        """Delete a segment that is no longer needed; that it is gone already is as good."""
        try:
            await self._kube.delete(CONFIG_MAPS, segment.name, namespace=self._namespace)
        except NotFound:
            return

    async def _read_back(self, segment: Segment, backoff: Backoff) -> tuple[bool, bool]:
        """Return whether `segment` is stored as it should be, and whether it has to be made anew."""
        while True:
            try:
                stored = await self._kube.get(CONFIG_MAPS, segment.name, namespace=self._namespace)
                live = read_segment(stored)
            except NotFound:
                log.warning("journal segment is gone, writing it again", segment=segment.name)
                segment.resource_version = ""
                await self.demand_not_deposed(backoff)
                return False, True
            except KubeError as error:
                log.warning("journal cannot be read back, trying again", segment=segment.name, error=str(error))
                await asyncio.sleep(backoff.next())
                continue
            if live.header == UNREADABLE:
                await self.demand_not_deposed(backoff)
            elif live.header != segment.header:
                raise DeposedError(
                    f"journal segment {segment.name} was claimed by {live.header.leader} (epoch {live.header.epoch})"
                )
            demand_not_wound_back(segment.name, segment.resource_version, live.resource_version)
            segment.resource_version = live.resource_version
            is_labelled = (stored["metadata"].get("labels") or {}).get(COMPONENT_LABEL) == COMPONENT
            if live.immutable and not segment.immutable:
                segment.immutable = True
                log.warning("journal segment was made immutable by somebody", segment=segment.name)
            same = [line.text for line in live.lines] == [line.text for line in segment.lines]
            return is_labelled and same, False

    async def demand_not_deposed(self, backoff: Backoff) -> None:
        """Raise `DeposedError` when there is a segment that only another leader can have made or claimed.

        Not only later epochs tell: a leader that found every segment deleted by hand counts from 1 again.
        """
        while True:
            try:
                segments = await self.read_all()
                break
            except KubeError as error:
                log.warning("journal cannot be listed, trying again", error=str(error))
                await asyncio.sleep(backoff.next())
        self._demand_own(segments)

    def _demand_own(self, segments: Sequence[Segment]) -> None:
        for other in segments:
            if other.header == UNREADABLE:
                continue  # somebody's hand, and no leader's
            is_foreign = other.header != self._own and other.name not in self._known
            if is_foreign or other.header.epoch > self._own.epoch:
                raise DeposedError(
                    f"journal segment {other.name} was claimed by {other.header.leader} (epoch {other.header.epoch})"
                )

    async def _delete(self, segment: Segment) -> None:
        await self._kube.delete(
            CONFIG_MAPS, segment.name, namespace=self._namespace, resource_version=segment.resource_version
        )

    async def _put(self, segment: Segment) -> None:
        self._take_version(segment, await self._kube.replace(CONFIG_MAPS, to_config_map(segment, self._namespace)))

    async def _post(self, segment: Segment) -> None:
        segment.resource_version, segment.immutable = "", False
        body = to_config_map(segment, self._namespace)
        self._take_version(segment, await self._kube.create(CONFIG_MAPS, body))

    @staticmethod
    def _take_version(segment: Segment, stored: dict[str, Any]) -> None:
        segment.resource_version = stored["metadata"]["resourceVersion"]
        metrics.journal_bytes_total.inc(size_of(segment.lines))


def is_for_good(error: ApiError) -> bool:
    """Tell whether the API server would refuse the very same write again: too large, malformed, against a policy."""
    return not is_transient(error) and not isinstance(error, Unauthorized)


def demand_not_wound_back(name: str, known: str, live: str) -> None:
    """Raise `WoundBackError` when an object has an older version than this process has seen: versions only grow."""
    if known.isdecimal() and live.isdecimal() and int(live) < int(known):
        raise WoundBackError(
            f"ConfigMap {name} has version {live}, older than {known} that was seen before: etcd was restored from a "
            "backup while this process led"
        )


def _result(error: KubeError) -> str:
    if isinstance(error, NotFound):
        return "not_found"
    return "unavailable" if isinstance(error, ApiUnavailable) else "conflict"
