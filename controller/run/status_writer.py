"""Writing the status of a run: coalesced, with the resourceVersion it belongs to, and never lost (decision D6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from app.kube.client import KubeClient
from app.kube.errors import ApiError, Conflict, KubeError, NotFound, is_transient
from app.kube.fresh import read_same
from app.kube.resources import EXECUTIONS
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.phases import has_ended
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from controller.sealing import SEAL, is_sealed, seal_of
from controller.status_form import as_is, lesser_forms, sized
from controller.status_pace import StatusPace
from controller.status_put import put_status

log = get_logger(__name__)

MAX_INTERVAL = 5.0
"""Seconds that a status may be behind at most, however slow its writes are."""
LATENCY_FACTOR = 10.0
"""A status is written no sooner than this many times the last write's own latency."""
REFUSED_RETRY = 60.0
"""Seconds until a status that the API server refused is tried whole again."""


class ExecutionGoneError(Exception):
    """The execution no longer exists, so that there is no status to write."""


class StatusWriter:
    """Keeps the stored status of one execution up with the one last offered.

    Ordinary writes keep the interval of `pace` on average: after a quiet interval, one may come sooner, so that a slow
    run shows each change at once and a fast one few statuses.

    `stored` is the status that was stored a moment ago, if any: the first ordinary write comes an interval after it.
    `known` is the stored form that the execution is known to have.
    `on_written` is told the stored object and the journal sequence that a complete write covers, `on_refused` the API
    server's message when it refuses the status, `on_touched` that somebody else has changed it. `demand_lead` raises
    `DeposedError` when this process no longer leads; `seal_key` is the run's (see `controller.sealing`).
    """

    def __init__(
        self,
        kube: KubeClient,
        metadata: ObjectMeta,
        *,
        pace: StatusPace,
        on_written: Callable[[dict[str, Any], int], None],
        on_refused: Callable[[str], None],
        on_touched: Callable[[str], None],
        demand_lead: Callable[[], Awaitable[None]],
        seal_key: str = "",
        known: Mapping[str, Any] | None = None,
        stored: DRPlanExecutionStatus | None = None,
    ) -> None:
        self._kube = kube
        self._metadata = metadata
        self._key = metadata.key
        self._pace = pace
        self._on_written = on_written
        self._on_refused = on_refused
        self._on_touched = on_touched
        self._demand_lead = demand_lead
        self._seal_key = seal_key
        self._sealed = known or {}
        self._offered = stored
        self._written = stored
        self._urgent = False
        self._changed = asyncio.Event()
        self._flushed = asyncio.Condition()
        self._gone = False

    def offer(self, status: DRPlanExecutionStatus, *, urgent: bool = False) -> None:
        """Take `status` as the newest one; write it at once when `urgent`, else when it is time."""
        self._offered = status
        self._urgent = self._urgent or urgent
        self._changed.set()

    def note_stored(self, obj: Mapping[str, Any]) -> None:
        """Look at the execution as the API server has it now; write the status again if somebody else changed it."""
        stored = obj.get("status") or {}
        version = obj["metadata"]["resourceVersion"]
        if not self._seal_key or version == self._metadata.resource_version or stored == self._sealed:
            return
        if self._offered is not None and not is_sealed(self._seal_key, self._metadata.uid, stored):
            self._written = None
            self._urgent = True
            self._changed.set()

    async def flush(self) -> None:
        """Wait until the status last offered is stored. Raises `ExecutionGoneError`.

        One that the API server refuses at the end of a run, even in its least form, is not waited for.
        """
        self._urgent = True
        self._changed.set()
        async with self._flushed:
            await self._flushed.wait_for(lambda: self._gone or self._written is self._offered)
        if self._gone:
            raise ExecutionGoneError(self._key)

    async def run(self) -> None:
        """Write until cancelled. Raises `DeposedError` when another leader has written in the meantime."""
        with self._pace.joined():
            await self._run()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        earliest = slot = 0.0 if self._written is None else clock() + self._pace.interval
        while True:
            await self._changed.wait()
            await self._wait_until(earliest)
            self._changed.clear()
            self._urgent = False
            metrics.loop_iterations_total.labels(loop="status").inc()
            if self._offered is self._written:
                continue
            started = clock()
            status = await self._write()
            now, interval = clock(), self._pace.interval
            metrics.status_write_seconds.observe(now - started)
            slot = max(slot, now) + interval
            earliest = min(max(slot - interval, now + (now - started) * LATENCY_FACTOR), now + MAX_INTERVAL)
            async with self._flushed:
                self._written = status
                self._flushed.notify_all()

    async def _wait_until(self, earliest: float) -> None:
        """Wait for the time of the next ordinary write, or for an urgent one."""
        clock = asyncio.get_running_loop().time
        while not self._urgent and (delay := earliest - clock()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                break
        self._changed.set()

    async def _write(self) -> DRPlanExecutionStatus | None:
        """Store the newest status, however many tries it takes; return it. Each try takes the newest one there is."""
        backoff = Backoff(initial=0.05, maximum=10.0)
        while (status := self._offered) is not None and not self._gone:
            try:
                stored = await self._put(*await sized(status))
            except Conflict:
                metrics.status_writes_total.labels(result="conflict").inc()
                await self._take_live_version(backoff)
            except NotFound:
                await self._mark_gone()
            except KubeError as error:
                if isinstance(error, ApiError) and not is_transient(error):
                    if await self._write_less(status, str(error)):
                        break
                    continue
                metrics.status_writes_total.labels(result="unavailable").inc()
                log.warning("status not written, trying again", execution=self._key, error=str(error))
                await asyncio.sleep(backoff.next())
            else:
                metrics.status_writes_total.labels(result="ok").inc()
                self._on_written(stored, status.journal_sequence)
                break
        return status

    async def _put(self, wire: dict[str, Any], size: int) -> dict[str, Any]:
        if self._seal_key and not has_ended(wire.get("phase")):
            wire[SEAL] = seal_of(self._seal_key, self._metadata.uid, wire)
        stored = await put_status(self._kube, EXECUTIONS, self._metadata, wire)
        self._sealed = stored.get("status") or {}
        metrics.status_bytes_total.inc(size)
        self._take_version(stored)
        return stored

    def _take_version(self, stored: dict[str, Any]) -> None:
        """Remember the version that the next write is to replace."""
        version = stored["metadata"]["resourceVersion"]
        self._metadata = self._metadata.model_copy(update={"resource_version": version})

    async def _take_live_version(self, backoff: Backoff) -> None:
        """Settle a conflict: a foreign change is merged, and a later leader, which the journal tells, ends this one.

        What the stored status itself says is no proof: anybody who may write statuses can have written it.
        """
        try:
            known = self._metadata
            live = await read_same(self._kube, EXECUTIONS, known.namespace, known.name, known.uid)
        except KubeError as error:
            log.warning(
                "execution cannot be read after a conflict",
                execution=self._key,
                error=str(error),
            )
            await asyncio.sleep(backoff.next())
            return
        if live is None:
            await self._mark_gone()
            return
        stored = live.get("status") or {}
        if stored != self._sealed:
            await self._demand_lead()
            if not (self._seal_key and is_sealed(self._seal_key, self._metadata.uid, stored)):
                self._on_touched(
                    "The status of this running execution was changed by somebody else; it is written again"
                )
        self._take_version(live)

    async def _write_less(self, status: DRPlanExecutionStatus, why: str) -> bool:
        """Store as much as the API server may take of a status that it refuses; tell whether that has to do.

        It has to at the end of a run, which is recorded and whose plan must not stay locked; the status is then tried
        again from the record. Before, the whole is tried again in a minute, or when the phase changes; the journal's
        entries are kept until then.
        """
        metrics.status_writes_total.labels(result="refused").inc()
        log.error("status refused by the API server", execution=self._key, error=why)
        self._on_refused(why)
        self._urgent = False
        forms = await asyncio.to_thread(lesser_forms, status)
        for form in forms if status.has_ended else forms[:1]:
            try:
                await self._put(*await asyncio.to_thread(as_is, form))
            except ApiError as error:
                log.error("lesser status not written either", execution=self._key, error=str(error))
                if isinstance(error, Conflict) or is_transient(error):
                    return False
            else:
                return status.has_ended
        if status.has_ended:
            return True
        await self._wait_until(asyncio.get_running_loop().time() + REFUSED_RETRY)
        return False

    async def _mark_gone(self) -> None:
        async with self._flushed:
            self._gone = True
            self._flushed.notify_all()
