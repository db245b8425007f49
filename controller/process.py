"""The controller process as others see it: what it consists of, whether it lives, whether it is ready, must it end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.events import EventRecorder
from app.kube.lease import LeaderLease
from app.kube.leased import LeasedKubeClient, LeaseTime
from app.runtime.health import Health
from app.runtime.http_client import HttpSender
from app.runtime.last_work import LastWork
from app.runtime.pod import Identity
from app.runtime.settings import ControllerSettings
from app.runtime.tasks import TaskOwner
from app.runtime.tracing import Traces
from app.runtime.watchdog import Watchdog
from app.runtime.workers import Workers
from controller.journal import Journal
from controller.suspects import Suspects

STALE_SECONDS = 180.0
"""Age of a watch at which this process no longer counts as ready."""
DEPOSED_SECONDS = 5.0
"""Seconds that a process may take to end once it no longer leads."""
BLOCKED_SECONDS = 5.0
"""Age of the heartbeat at which the event loop of a leader without lease time counts as blocked."""
HANGING_SECONDS = 3.0
"""Seconds that a blocked leader gets until it is ended."""


@dataclass(slots=True)
class Process:
    """What one controller process consists of.

    `remaining` is the lease time that everything begins within; `unleased` is for the journal's last word, that etcd
    was restored.
    """

    settings: ControllerSettings
    identity: Identity
    kube: LeasedKubeClient
    unleased: KubeClient
    http: HttpSender
    workers: Workers
    recorder: EventRecorder
    lease: LeaderLease
    remaining: LeaseTime
    traces: Traces
    caches: dict[str, Cache]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    leading: bool = False
    """Whether runs may be under way, which a shutdown has to wind down first."""
    journal: Journal | None = None
    last_work: LastWork = field(default_factory=LastWork)
    suspects: Suspects = field(default_factory=Suspects)
    when_back: list[Callable[[], None]] = field(default_factory=list)
    """See `controller.services.Services`."""

    async def confirm(self) -> None:
        """Ask the journal whether this process is still the leader (`LeaderLease.lead`); if so, make up for lost time.

        What the caches missed is listed without waiting for it: a list may take longer than the lease gives.
        """
        if self.journal is not None:
            await self.journal.confirm()
        for cache in self.caches.values():
            cache.list_anew()
        for callback in self.when_back:
            callback()

    def no_longer_leads(self) -> str:
        """Return why this process has to end, which was the leader and is not any more; else nothing."""
        if self.lease.deposed:
            return self.lease.deposed
        return "the journal is closed" if self.journal is not None and self.journal.closed else ""


def watch_over(process: Process, watchdog: Watchdog, health: Health, owner: TaskOwner) -> None:
    """Have the process ended when it no longer leads, breaks down, or is blocked, and does not end by itself."""

    def blocked() -> str:
        adrift, age = process.lease.adrift_seconds(), health.heartbeat.age()
        if adrift > 0 and age > BLOCKED_SECONDS:
            return f"the event loop has been blocked for {age:.0f} s, and the lease was not renewed"
        return ""

    watchdog.watch("no longer leads", process.no_longer_leads, DEPOSED_SECONDS)
    watchdog.watch("blocked", blocked, HANGING_SECONDS)
    watchdog.watch("ending", lambda: "a task of the process has failed" if owner.ending else "", DEPOSED_SECONDS)


def health_of(process: Process) -> Health:
    """Return the facts behind `/healthz` and `/readyz`."""
    health = Health()

    def still_here() -> str | None:
        why = process.no_longer_leads()
        return f"this process was the leader, is not any more, and is about to end: {why}" if why else None

    async def lease() -> str | None:
        adrift = process.lease.adrift_seconds()
        if adrift <= 0:
            return None
        return f"the lease should have been renewed {adrift:.0f} s ago; nothing is begun until the API server answers"

    async def caches() -> str | None:
        for plural, cache in process.caches.items():
            if not cache.synced:
                return f"the first list of {plural} is not complete"
            if cache.seconds_since_last_line > STALE_SECONDS:
                return f"the watch of {plural} has been silent for {cache.seconds_since_last_line:.0f} s"
        return None

    health.add_live_check("leader", still_here)
    health.add_check("lease", lease)
    health.add_check("caches", caches)
    return health
