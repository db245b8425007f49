"""Is this process alive, and can it do its job: the facts behind `/healthz` and `/readyz`.

Alive means that the event loop turns: a heartbeat stamps the time, and liveness is the age of the stamp; further
checks may be added of what only a restart heals. It says nothing about the API server, because restarting this
process does not heal that one. Ready is a list of named checks, all of which must hold.

Both can be asked from another thread, whose event loop turns when this one is blocked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from app.runtime import metrics
from app.runtime.groups import together

HEARTBEAT_SECONDS = 0.5
"""How often the heartbeat stamps the time."""

ALIVE_SECONDS = 15.0
"""Age of the last heartbeat up to which the process counts as alive."""

CHECK_SECONDS = 2.0
"""How long one readiness check may take before it counts as failed."""

Check = Callable[[], Awaitable[str | None]]
"""A readiness check: None when all is well, else one line that says what is missing."""

LiveCheck = Callable[[], str | None]
"""A liveness check: the same, without waiting for anything, in whatever thread."""


class Heartbeat:
    """Stamps the monotonic clock from inside the event loop, and measures how late the loop serves timers."""

    def __init__(self) -> None:
        self._stamp = time.monotonic()

    def age(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._stamp

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        iterations = metrics.loop_iterations_total.labels("heartbeat")
        while True:
            self._stamp = time.monotonic()
            iterations.inc()
            due = loop.time() + HEARTBEAT_SECONDS
            await asyncio.sleep(HEARTBEAT_SECONDS)
            metrics.event_loop_lag_seconds.observe(max(0.0, loop.time() - due))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check; `problem` is None when it holds."""

    name: str
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether the check holds."""
        return self.problem is None


@dataclass(slots=True)
class Health:
    """Heartbeat and readiness checks of one process."""

    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    checks: dict[str, Check] = field(default_factory=dict)
    live_checks: dict[str, LiveCheck] = field(default_factory=dict)
    home: asyncio.AbstractEventLoop | None = None
    """The event loop that readiness checks belong to, when they are asked from another one."""

    def add_check(self, name: str, check: Check) -> None:
        """Add a readiness check; a name is used once."""
        if name in self.checks:
            raise ValueError(f"readiness check {name!r} exists already")
        self.checks[name] = check

    def add_live_check(self, name: str, check: LiveCheck) -> None:
        """Add a liveness check: of what only a restart of the process can heal."""
        self.live_checks[name] = check

    def live(self) -> list[CheckResult]:
        """Whether the event loop turns, and the further liveness checks."""
        age = self.heartbeat.age()
        problem = f"the event loop last turned {age:.1f} s ago" if age > ALIVE_SECONDS else None
        return [
            CheckResult("event-loop", problem),
            *(CheckResult(name, check()) for name, check in self.live_checks.items()),
        ]

    async def ready(self) -> list[CheckResult]:
        """Return the results of all readiness checks, asked at the same time, in the order they were added."""
        if self.home is None or self.home is asyncio.get_running_loop():
            return await self._ask_all()
        asked = asyncio.run_coroutine_threadsafe(self._ask_all(), self.home)
        try:
            async with asyncio.timeout(CHECK_SECONDS + HEARTBEAT_SECONDS):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            return [CheckResult("event-loop", f"the event loop last turned {self.heartbeat.age():.1f} s ago")]

    async def _ask_all(self) -> list[CheckResult]:
        return await together(_ask(name, check) for name, check in self.checks.items())


async def _ask(name: str, check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return CheckResult(name, await check())
    except TimeoutError:
        return CheckResult(name, f"no answer within {CHECK_SECONDS:g} s")
