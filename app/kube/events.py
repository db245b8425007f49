"""Kubernetes Events, written off the critical path.

`emit` never waits and never fails: it puts the event into a bounded queue, and one task writes. A repeat of the
same event within six minutes becomes a series of the first one, by a patch. Repeats that pile up meanwhile travel in
one patch, and the more there have been the longer a patch waits for more. An event waits for a moment in which nothing
else is asked of the API server. So a busy run has the API server to itself, and its events follow some seconds later.
A warning ends the waiting. What cannot be written is counted in
`drplan_events_dropped_total{reason}`: events are for people, and a run never waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, ApiError, Forbidden, KubeError, NotFound, is_transient
from app.kube.event_series import Series, Stamps, event_body
from app.kube.resources import EVENTS
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tasks import backoff

log = get_logger(__name__)

SERIES_SECONDS = 360.0
"""How long after the last occurrence a repeat still belongs to the series (client-go's value)."""

KEPT_SERIES = 2000
"""Events remembered for their repeats."""

ATTEMPTS = 6
"""Tries to write one event while the API server is away or overloaded; about 25 seconds."""

QUIET_SECONDS = 0.02
"""How long nothing has been asked of the API server when an event is written."""
PATIENCE = 0.25
"""Seconds that an event waits for such a moment at most."""
MOST_PATIENT = 500
"""With so many events waiting, none waits for that; the more there are below, the less patience."""

MOST_LATE = 3.0
"""An event that has waited so many seconds waits for no quiet moment any more."""

EventKind = Literal["Normal", "Warning"]
_Key = tuple[str, str, str]


class EventRecorder:
    """Records events about objects. The owner runs `run` as a task; anybody calls `emit`.

    `component` and `instance` show as reportingController and reportingInstance. `idle_seconds` tells for how long
    nothing has been asked of the API server. How many ordinary events a run may write is the caller's decision.
    """

    def __init__(
        self,
        kube: KubeClient,
        *,
        component: str = "drplan-controller",
        instance: str | None = None,
        capacity: int = 2000,
        idle_seconds: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._kube = kube
        self._component = component
        self._instance = (instance or socket.gethostname())[:128]
        self._capacity = capacity
        self._idle_seconds = idle_seconds
        self._series: OrderedDict[_Key, Series] = OrderedDict()
        self._queue: deque[Series] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurry = asyncio.Event()
        self._ending = False
        self._stamps = Stamps()
        self._later: dict[int, tuple[Series, asyncio.TimerHandle]] = {}
        """Repeats that wait for their time, by the identity of their series."""

    def emit(
        self,
        regarding: Mapping[str, Any],
        type_: EventKind,
        reason: str,
        note: str,
        action: str = "Run",
        *,
        series: str = "",
    ) -> None:
        """Record an event about an object (apiVersion, kind and metadata are used). Notes are cut at 1 KiB.

        It repeats an earlier one of the same object, reason and note. With `series`, that counts instead of the note,
        of which the newest is shown.
        """
        metadata = regarding["metadata"]
        identity = metadata.get("uid") or f"{metadata.get('namespace')}/{metadata['name']}"
        key = (identity, reason, series or note)
        now, stamp = asyncio.get_running_loop().time(), self._stamps.take()
        known = self._series.get(key)
        if known is not None and now - known.last_at < SERIES_SECONDS:
            known.repeat(now, stamp, note)
            self._enqueue_in_time(known, now)
            return
        body = event_body(
            regarding,
            type_=type_,
            reason=reason,
            note=note,
            action=action,
            stamp=stamp,
            component=self._component,
            instance=self._instance,
        )
        found = Series(body["metadata"]["namespace"], body, now, stamp)
        if self._enqueue(found):
            self._series[key] = found
            self._series.move_to_end(key)
            while len(self._series) > KEPT_SERIES:
                self._series.popitem(last=False)

    async def run(self) -> None:
        """Write events until cancelled; what is still queued then is counted as dropped (see `drain`)."""
        iterations = metrics.loop_iterations_total.labels("events")
        try:
            while True:
                await self._wake.wait()
                iterations.inc()
                while self._queue:
                    await self._wait_for_quiet()
                    series = self._queue[0]
                    series.queued = False
                    await self._write(series)
                    self._queue.popleft()
                self._wake.clear()
                if not self._ending:
                    self._hurry.clear()
                self._idle.set()
        finally:
            for _, timer in self._later.values():
                timer.cancel()
            metrics.events_dropped_total.labels("shutdown").inc(len(self._queue) + len(self._later))

    def hurry(self) -> None:
        """Wait for no quiet moment and for no further repeats any more: the process is about to end."""
        self._ending = True
        self._hurry.set()
        for series, timer in list(self._later.values()):
            timer.cancel()
            self._enqueue_late(series)

    async def drain(self, timeout: float) -> bool:
        """Write without waiting until everything is written or dropped; false when the time is up first."""
        self.hurry()
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _wait_for_quiet(self) -> None:
        """Leave the API server to others, unless many events wait, or one for long, or a warning, or `drain` does."""
        clock = asyncio.get_running_loop().time
        patience = PATIENCE * (1 - len(self._queue) / MOST_PATIENT)
        patient_until = min(clock() + patience, self._queue[0].queued_at + MOST_LATE)
        while clock() < patient_until and (busy := QUIET_SECONDS - self._idle_seconds()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(busy):
                    await self._hurry.wait()
                    return

    def _enqueue_in_time(self, series: Series, now: float) -> None:
        """Have a repeat written, after the pause that follows the last write."""
        if series.queued or id(series) in self._later:
            return
        if self._ending or series.next_write <= now:
            self._enqueue(series)
            return
        timer = asyncio.get_running_loop().call_at(series.next_write, self._enqueue_late, series)
        self._later[id(series)] = series, timer

    def _enqueue_late(self, series: Series) -> None:
        self._later.pop(id(series), None)
        self._enqueue(series)

    def _enqueue(self, series: Series) -> bool:
        if series.queued:
            return True
        if len(self._queue) >= self._capacity:
            metrics.events_dropped_total.labels("queue_full").inc()
            return False
        series.queued = True
        series.queued_at = asyncio.get_running_loop().time()
        self._queue.append(series)
        if series.body["type"] == "Warning" and not series.written:
            self._hurry.set()
        self._wake.set()
        self._idle.clear()
        return True

    async def _write(self, series: Series) -> None:
        """Write one event or its new count; gives up on refusals at once, on absence after some tries."""
        delays = backoff(0.5, 10.0)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._send(series)
                return
            except KubeError as e:
                if not is_transient(e):
                    self._drop(_refusal_reason(e), e)
                    return
                if attempt == ATTEMPTS:
                    self._drop("unavailable", e)
                    return
                asked = e.retry_after if isinstance(e, ApiError) else None
                await asyncio.sleep(min(10.0, asked or next(delays)))

    async def _send(self, series: Series) -> None:
        if series.written:
            try:
                await self._kube.patch(
                    EVENTS, series.body["metadata"]["name"], series.update(), namespace=series.namespace
                )
            except NotFound:
                series.new_name()
            else:
                series.wrote(asyncio.get_running_loop().time())
                return
        # an earlier try whose answer was lost may have made it
        with contextlib.suppress(AlreadyExists):
            await self._kube.create(EVENTS, series.whole(), namespace=series.namespace)
        series.wrote(asyncio.get_running_loop().time())

    def _drop(self, reason: str, error: KubeError) -> None:
        metrics.events_dropped_total.labels(reason).inc()
        log.info("event not written", reason=reason, error=f"{type(error).__name__}: {error}")


def _refusal_reason(error: KubeError) -> str:
    if isinstance(error, Forbidden):
        return "namespace_terminating" if error.namespace_terminating else "forbidden"
    return "namespace_gone" if isinstance(error, NotFound) else "rejected"
