"""The controller process: warm caches always, reconcilers and runs only as the leader (design: processes)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import uvloop

from app.kube.bounded import BoundedClient, WriteLease
from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import KubeError
from app.kube.events import EventRecorder
from app.kube.lease import LeaderLease, LeaseLost
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from app.runtime import metrics
from app.runtime.collector import chosen_collector
from app.runtime.garbage import tune_garbage_collector
from app.runtime.health import Health
from app.runtime.http_client import HttpSender
from app.runtime.logging import get_logger, setup_logging
from app.runtime.settings import ControllerSettings
from app.runtime.tasks import TaskOwner
from app.runtime.tracing import Traces
from app.service.server import PortError, serve_probes
from controller.actions.registry import build_registry
from controller.execution_gauges import ExecutionGauges
from controller.journal import DamagedSegmentError, Deposed, Journal, JournalClosed
from controller.leader import lead, without_details
from controller.services import Services
from controller.snapshots import SnapshotStore
from controller.status_writer import StatusPace

if TYPE_CHECKING:
    from app.runtime.trace_export import TraceExport

log = get_logger(__name__)

SYNC_TIMEOUT = 60.0
"""Seconds that the first lists may take before the process gives up and is restarted."""
DRAIN = 1.0
"""Seconds at the end for events that are not written and spans that are not sent yet."""
YOUNG_OBJECTS = 5_000
"""New objects until garbage is looked for: some fifty failed calls, whose bodies may be large."""
STALE_SECONDS = 180.0
"""Age of a watch at which this process no longer counts as ready."""


@dataclass(slots=True)
class _Process:
    settings: ControllerSettings
    kube: KubeClient
    http: HttpSender
    recorder: EventRecorder
    lease: LeaderLease
    traces: Traces
    caches: dict[str, Cache]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    leading: bool = False
    """Whether runs may be under way, which a shutdown has to wind down first."""


def main(settings: ControllerSettings) -> int:
    """Run the controller until SIGTERM or SIGINT; return the exit code: 0, or 1 after an error or a lost lease."""
    setup_logging(settings.log_level, settings.log_format == "json")
    code = 1
    try:
        code = uvloop.run(_run(settings))
    except* (KubeError, PortError, DamagedSegmentError) as group:
        log.error("controller ends", error="; ".join(_texts(group)))
    return code


async def _run(settings: ControllerSettings) -> int:
    tune_garbage_collector(YOUNG_OBJECTS)
    connection = load_connection(settings.kubeconfig)
    async with KubeClient(connection) as kube, HttpSender() as http:
        export = _export(settings)
        process = _Process(
            settings=settings,
            kube=kube,
            http=http,
            recorder=EventRecorder(kube, instance=settings.identity, idle_seconds=kube.idle_seconds),
            lease=_lease(kube, settings),
            traces=export.traces if export is not None else Traces(),
            caches={
                WORKFLOWS.plural: Cache(kube, WORKFLOWS),
                PLANS.plural: Cache(kube, PLANS),
                EXECUTIONS.plural: Cache(kube, EXECUTIONS, project=without_details),
            },
        )
        _listen_for_signals(process.stop)
        gauges = ExecutionGauges(process.caches[EXECUTIONS.plural])
        async with TaskOwner("controller") as owner:
            metrics.REGISTRY.register(gauges)
            serve_probes(owner, settings, _health(process))
            for plural, cache in process.caches.items():
                owner.spawn(f"cache/{plural}", cache.run())
            owner.spawn("events", process.recorder.run())
            code = await _lead_until_stopped(process)
            await asyncio.gather(process.recorder.drain(DRAIN), *([export.close(DRAIN)] if export is not None else ()))
            owner.cancel_all()
        return code


def _export(settings: ControllerSettings) -> TraceExport | None:
    """Return where spans go to; None without a collector, when nothing of the SDK is loaded."""
    collector = chosen_collector(settings.otlp_endpoint)
    if collector is None:
        return None
    from app.runtime.trace_export import export_to

    return export_to(collector, service="drplan-controller", instance=settings.identity)


def _lease(kube: KubeClient, settings: ControllerSettings) -> LeaderLease:
    return LeaderLease(
        kube,
        namespace=settings.namespace,
        name=settings.lease_name,
        identity=settings.identity,
        duration=settings.lease_duration,
        renew_deadline=settings.renew_deadline,
        retry=settings.retry_period,
    )


async def _lead_until_stopped(process: _Process) -> int:
    """Wait for the lease and work until told to stop. Every way to lose the lead ends the process."""
    async with TaskOwner("lead") as owner:
        work = owner.spawn("lead", _guarded_lead(process))
        stop = owner.spawn("stop", process.stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        process.recorder.hurry()
        if not work.done() and not process.leading:
            work.cancel()
        stop.cancel()
        await asyncio.wait({work})
    return 0 if work.cancelled() else work.result()


async def _guarded_lead(process: _Process) -> int:
    code = 0
    try:
        if process.settings.leader_elect:
            await process.lease.lead(lambda: _work(process))
        else:
            metrics.leader.set(1)
            await _work(process)
    except* (LeaseLost, Deposed, JournalClosed) as group:
        log.error("this process no longer leads and ends", error=", ".join(_texts(group)))
        code = 1
    return code


def _texts(group: BaseExceptionGroup[BaseException]) -> list[str]:
    texts: list[str] = []
    for error in group.exceptions:
        texts += _texts(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return list(dict.fromkeys(texts))


async def _work(process: _Process) -> None:
    for cache in process.caches.values():
        await cache.wait_synced(SYNC_TIMEOUT)
    tune_garbage_collector(YOUNG_OBJECTS)
    settings, lease = process.settings, process.lease
    journal = Journal(
        process.kube,
        settings.namespace,
        settings.identity,
        resume_within=timedelta(seconds=settings.resume_within),
    )
    remaining = lease.remaining if settings.leader_elect else lambda: timedelta(days=1).total_seconds()
    services = Services(
        settings=settings,
        kube=process.kube,
        bounded=BoundedClient(process.kube, settings.namespace, WriteLease(remaining, settings.write_timeout)),
        http=process.http,
        workflows=process.caches[WORKFLOWS.plural],
        plans=process.caches[PLANS.plural],
        executions=process.caches[EXECUTIONS.plural],
        journal=journal,
        snapshots=SnapshotStore(process.kube, settings.namespace),
        recorder=process.recorder,
        executors=build_registry(),
        status_pace=StatusPace(settings.status_interval),
        traces=process.traces,
        lease_remaining=remaining,
    )
    recovered = await journal.claim(known_revision=_newest_version(process.caches.values()))
    # with an empty journal nobody has ever led here, so that nobody can still believe that he does
    if settings.leader_elect and journal.epoch > 1 and (wait := lease.previous_remaining()) > 0:
        log.info("waiting until the previous leader's lease has expired", seconds=round(wait, 1))
        await asyncio.sleep(wait)
    process.leading = True
    await lead(services, recovered, process.stop)


def _newest_version(caches: Iterable[Cache]) -> int:
    """Return the newest resourceVersion that this process has seen; all versions of a cluster count up together."""
    versions = (str(item["metadata"].get("resourceVersion", "")) for cache in caches for item in cache.items())
    return max((int(version) for version in versions if version.isdecimal()), default=0)


def _health(process: _Process) -> Health:
    health = Health()

    async def caches() -> str | None:
        for plural, cache in process.caches.items():
            if not cache.synced:
                return f"the first list of {plural} is not complete"
            if cache.seconds_since_last_line > STALE_SECONDS:
                return f"the watch of {plural} has been silent for {cache.seconds_since_last_line:.0f} s"
        return None

    health.add_check("caches", caches)
    return health


def _listen_for_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
