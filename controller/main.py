"""The controller process: warm caches always, reconcilers and runs only as the leader (design: processes)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import uvloop

from app.kube.bounded import BoundedClient, WriteLease
from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import KubeError
from app.kube.events import EventRecorder
from app.kube.lease import LeaderLease, LeaseLostError
from app.kube.leased import LeasedKubeClient
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from app.runtime import metrics
from app.runtime.clocks import elapsed_seconds
from app.runtime.collector import chosen_collector
from app.runtime.descriptors import effects_within, raise_descriptor_limit
from app.runtime.garbage import tune_garbage_collector
from app.runtime.groups import together
from app.runtime.last_work import LastWork
from app.runtime.logging import get_logger, setup_logging
from app.runtime.pod import Identity, identity_of
from app.runtime.settings import ControllerSettings
from app.runtime.tasks import TaskOwner
from app.runtime.tracing import Traces
from app.runtime.watchdog import Watchdog
from app.runtime.workers import Workers
from app.service.server import PortError, serve_probes
from controller.actions.registry import build_registry
from controller.effect_slots import EffectSlots
from controller.execution_gauges import ExecutionGauges
from controller.journal import DamagedSegmentError, DeposedError, Journal, JournalClosedError
from controller.leader import lead, without_details
from controller.leased_http import LeasedHttpSender
from controller.process import Process, health_of, watch_over
from controller.records import RecordStore
from controller.services import Services
from controller.snapshots import SnapshotStore
from controller.status_pace import StatusPace
from controller.suspects import Suspects
from controller.validation import Validator

if TYPE_CHECKING:
    from app.runtime.trace_export import TraceExport

log = get_logger(__name__)

SYNC_TIMEOUT = 60.0
"""Seconds that each page of the first lists may take before the process gives up and is restarted."""
FRESH_SECONDS = 2.0
"""Age of a list with which a new leader begins; restoring etcd takes longer than that."""
DRAIN = 0.5
"""Seconds at the end for events that are not written and, after them, for spans that are not sent yet."""
END_SECONDS = 2.7
"""Seconds that a shutdown may take beyond the grace for running actions, before the watchdog ends the process."""
YOUNG_OBJECTS = 5_000
"""New objects until garbage is looked for: some fifty failed calls, whose bodies may be large."""


def main(settings: ControllerSettings) -> int:
    """Run the controller until SIGTERM or SIGINT; return the exit code: 0, or 1 after an error or a lost lease.

    A process that should have ended and has not is ended by its watchdog, with `app.runtime.watchdog.EXIT_OVERDUE`.
    """
    setup_logging(settings.log_level, settings.log_format == "json")
    settings = settings.model_copy(
        update={"max_effects": effects_within(settings.max_effects, raise_descriptor_limit())}
    )
    watchdog = Watchdog()
    watchdog.start(settings.shutdown_grace + END_SECONDS)
    code = 1
    try:
        code = uvloop.run(_run(settings, watchdog))
    except* (KubeError, PortError, DamagedSegmentError) as group:
        log.error("controller ends", error="; ".join(_texts(group)))
    return code


async def _run(settings: ControllerSettings, watchdog: Watchdog) -> int:
    tune_garbage_collector(YOUNG_OBJECTS)
    connection = load_connection(settings.kubeconfig)
    identity = Identity(settings.identity) if settings.identity else identity_of(settings.pod_uid)
    plain = KubeClient(connection)
    lease = _lease(plain, settings, identity)
    remaining = lease.remaining if settings.leader_elect else _for_ever
    async with plain, LeasedHttpSender(remaining, settings.egress) as http, Workers("controller") as workers:
        kube = LeasedKubeClient(plain, remaining)
        export = _export(settings, identity)
        last_work = LastWork(settings.last_work_file)
        process = Process(
            settings=settings,
            identity=identity,
            kube=kube,
            unleased=plain,
            http=http,
            workers=workers,
            recorder=EventRecorder(kube, instance=identity.name, idle_seconds=kube.idle_seconds),
            lease=lease,
            remaining=remaining,
            traces=export.traces if export is not None else Traces(),
            last_work=last_work,
            suspects=Suspects(plain, settings.namespace, last_work.left),
            caches=caches_of(kube),
        )
        loop = asyncio.get_running_loop()
        watchdog.watch("last work", last_work.tick, float("inf"))
        watchdog.on_signal(lambda: _call(loop, process.stop.set))
        gauges = ExecutionGauges(process.caches[EXECUTIONS.plural])
        async with TaskOwner("controller") as owner:
            metrics.REGISTRY.register(gauges)
            health = health_of(process)
            watch_over(process, watchdog, health, owner)
            serve_probes(owner, settings, health)
            for plural, cache in process.caches.items():
                owner.spawn(f"cache/{plural}", cache.run())
            owner.spawn("events", process.recorder.run())
            if last_work.left:  # at once, for another process may lead by now
                owner.spawn("suspects", process.suspects.load())
            code = await _lead_until_stopped(process)
            if export is not None:
                await export.close(DRAIN)
            owner.cancel_all()
        return code


def _for_ever() -> float:
    return timedelta(days=1).total_seconds()


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call something in the loop, from another thread; a loop that has ended needs no call."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _export(settings: ControllerSettings, identity: Identity) -> TraceExport | None:
    """Return where spans go to; None without a collector, when nothing of the SDK is loaded."""
    collector = chosen_collector(settings.otlp_endpoint)
    if collector is None:
        return None
    from app.runtime.trace_export import export_to

    return export_to(collector, service="drplan-controller", instance=identity.name)


def _lease(kube: KubeClient, settings: ControllerSettings, identity: Identity) -> LeaderLease:
    return LeaderLease(
        kube,
        namespace=settings.namespace,
        name=settings.lease_name,
        identity=identity.name,
        kin=identity.kin,
        clock=elapsed_seconds,
        duration=settings.lease_duration,
        renew_deadline=settings.renew_deadline,
        retry=settings.retry_period,
    )


async def _lead_until_stopped(process: Process) -> int:
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


async def _guarded_lead(process: Process) -> int:
    code = 0
    try:
        if process.settings.leader_elect:
            await process.lease.lead(lambda: _work(process), process.confirm)
        else:
            metrics.leader.set(1)
            await _work(process)
    except* (LeaseLostError, DeposedError, JournalClosedError) as group:
        log.error("this process no longer leads and ends", error=", ".join(_texts(group)))
        code = 1
    return code


def _texts(group: BaseExceptionGroup[BaseException]) -> list[str]:
    texts: list[str] = []
    for error in group.exceptions:
        texts += _texts(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return list(dict.fromkeys(texts))


def journal_of(process: Process) -> Journal:
    """Return the journal that a process writes once it leads."""
    return Journal(
        process.kube,
        process.settings.namespace,
        process.identity.name,
        unleased=process.unleased,
        resume_within=timedelta(seconds=process.settings.resume_within),
        now=process.kube.server_time.now,
    )


def services_of(process: Process, journal: Journal) -> Services:
    """Return what the parts of a leader share."""
    settings = process.settings
    return Services(
        settings=settings,
        kube=process.kube,
        bounded=BoundedClient(process.kube, settings.namespace, WriteLease(process.remaining, settings.write_timeout)),
        http=process.http,
        workflows=process.caches[WORKFLOWS.plural],
        plans=process.caches[PLANS.plural],
        executions=process.caches[EXECUTIONS.plural],
        journal=journal,
        snapshots=SnapshotStore(process.kube, settings.namespace),
        records=RecordStore(process.kube, settings.namespace),
        recorder=process.recorder,
        executors=build_registry(process.workers),
        effect_slots=EffectSlots(settings.max_effects),
        status_pace=StatusPace(settings.status_interval),
        validator=Validator(settings.namespace, process.workers),
        last_work=process.last_work,
        suspects=process.suspects,
        traces=process.traces,
        lease_remaining=process.remaining,
        when_back=process.when_back,
        now=process.kube.server_time.now,
    )


def caches_of(kube: KubeClient) -> dict[str, Cache]:
    """Return copies of the three kinds, by plural; of executions without what only their runs need."""
    return {
        WORKFLOWS.plural: Cache(kube, WORKFLOWS),
        PLANS.plural: Cache(kube, PLANS),
        EXECUTIONS.plural: Cache(kube, EXECUTIONS, project=without_details),
    }


async def _work(process: Process) -> None:
    # a standby's copies may wait for versions of a history that is no more (etcd restored from a backup)
    since = asyncio.get_running_loop().time() - FRESH_SECONDS
    await together(cache.refresh(since, SYNC_TIMEOUT) for cache in process.caches.values())
    tune_garbage_collector(YOUNG_OBJECTS)
    settings, lease = process.settings, process.lease
    journal = process.journal = journal_of(process)
    services = services_of(process, journal)
    recovered = await journal.claim(known_revision=_newest_version(process.caches.values()))
    # with an empty journal nobody has ever led here, so that nobody can still believe that he does
    if settings.leader_elect and journal.epoch > 1 and (wait := lease.previous_remaining()) > 0:
        log.info("waiting until the previous leader's lease has expired", seconds=round(wait, 1))
        await asyncio.sleep(wait)
    await process.suspects.load()
    process.leading = True
    await lead(services, recovered, process.stop)
    # within the lease, because Events are the leader's to write
    await process.recorder.drain(DRAIN)


def _newest_version(caches: Iterable[Cache]) -> int:
    """Return the newest resourceVersion that this process has ever seen; all of a cluster count up together."""
    return max((cache.newest_version for cache in caches), default=0)
