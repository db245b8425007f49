"""A queue of keys to reconcile: a key waits once, is worked on by one worker at a time, comes back when it changed.

The one place that decides about repetition: a reconciler returns after how many seconds it wants to look again, or
raises; what it raised is repeated with a growing delay of its own key (5 ms to 60 s).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from app.kube.errors import Conflict, KubeError
from app.runtime import metrics
from app.runtime.groups import demand_not_cancelled
from app.runtime.logging import get_logger
from app.runtime.tasks import TaskOwner
from controller.journal import Deposed, JournalClosed

log = get_logger(__name__)

Key = tuple[str, str]
"""Namespace and name of an object."""
Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconciles one object; returns after how many seconds it wants to be called again, None for not before a change."""

FIRST_DELAY = 0.005
MAX_DELAY = 60.0
MOST_CRASHES = 6
"""Crashes in a row after which an object is set aside: with the delays between them, about two seconds."""
RECONCILE_TIMEOUT = 120.0
"""Seconds that one reconcile may take."""


async def _nothing(key: Key, error: Exception) -> None:
    """Do no more about an object that is set aside."""


class WorkQueue:
    """Feeds the keys of one controller to its reconciler, `workers` at a time.

    An object whose reconcile crashes MOST_CRASHES times in a row is handed to `set_aside` and left alone until it is
    added again, because it has changed.
    """

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        workers: int = 4,
        set_aside: Callable[[Key, Exception], Awaitable[None]] = _nothing,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._waiting: OrderedDict[Key, None] = OrderedDict()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._crashes: dict[Key, int] = {}
        self._set_aside = set_aside
        self._available = asyncio.Semaphore(0)

    def add(self, key: Key) -> None:
        """Have `key` reconciled; once more when it is being worked on right now."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            self._available.release()
            metrics.queue_depth.labels(controller=self.name).set(len(self._waiting))

    def add_after(self, key: Key, seconds: float) -> None:
        """Have `key` reconciled in `seconds`, unless it is before."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def hurry(self) -> None:
        """Have every key that waits for its next try after a failure reconciled now."""
        for key in list(self._failures):
            if key in self._timers:
                self._failures.pop(key)
                self.add(key)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with TaskOwner(self.name) as owner:
                for number in range(self._workers):
                    owner.spawn(f"worker-{number}", self._work())
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def _work(self) -> None:
        while True:
            demand_not_cancelled()
            await self._available.acquire()
            key, _ = self._waiting.popitem(last=False)
            metrics.queue_depth.labels(controller=self.name).set(len(self._waiting))
            metrics.loop_iterations_total.labels(loop=f"queue/{self.name}").inc()
            self._working.add(key)
            try:
                await self._reconcile_once(key)
            finally:
                self._working.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _reconcile_once(self, key: Key) -> None:
        result = "success"
        with metrics.reconcile_duration_seconds.labels(controller=self.name).time():
            try:
                async with asyncio.timeout(RECONCILE_TIMEOUT):
                    after = await self._reconcile(key)
            except (KubeError, TimeoutError) as error:
                result = "error"
                self._failed(key, error)
            except (Deposed, JournalClosed):
                raise
            except Exception as error:
                # one object that nobody foresaw must not stop the others: it is logged, counted and tried again
                result = "crash"
                log.exception("reconcile crashed", controller=self.name, object="/".join(key))
                await self._crashed(key, error)
            else:
                self._failures.pop(key, None)
                self._crashes.pop(key, None)
                if after is not None:
                    result = "requeue_after"
                    self.add_after(key, after)
        metrics.reconcile_total.labels(controller=self.name, result=result).inc()

    async def _crashed(self, key: Key, error: Exception) -> None:
        crashes = self._crashes[key] = self._crashes.get(key, 0) + 1
        if crashes < MOST_CRASHES:
            self._failed(key, error)
            return
        self._failures.pop(key, None)
        self._again.discard(key)
        if crashes == MOST_CRASHES:
            await self._set_aside(key, error)

    def _failed(self, key: Key, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(failures, 20))
        if isinstance(error, Conflict) and failures < 4:
            log.debug("reconcile met a conflict", controller=self.name, object="/".join(key))
        else:
            log.warning(
                "reconcile failed, trying again",
                controller=self.name,
                object="/".join(key),
                error=f"{type(error).__name__}: {error}",
                delay=delay,
            )
        self.add_after(key, delay)
