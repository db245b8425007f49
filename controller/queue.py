"""A queue of keys to reconcile: a key waits once, is worked on by one worker at a time, comes back when it changed.

The one place that decides about repetition: a reconciler returns after how many seconds it wants to look again, or
raises; what it raised is repeated with a growing delay of its own key (5 ms to 60 s).

Keys are divided into lanes (`controller.lanes`): what may be slow waits, and is worked on, beside the rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from app.kube.errors import Conflict, KubeError
from app.runtime import metrics
from app.runtime.groups import demand_not_cancelled
from app.runtime.logging import get_logger
from app.runtime.tasks import TaskOwner
from controller.journal import DeposedError, JournalClosedError
from controller.lanes import Key, Lane, Waiting

log = get_logger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconciles one object; returns after how many seconds it wants to be called again, None for not before a change."""

FIRST_DELAY = 0.005
MAX_DELAY = 60.0
MOST_CRASHES = 6
"""Crashes in a row after which an object is set aside: with the delays between them, about two seconds."""
FIRST_SECONDS = 10.0
"""Seconds that the other lanes wait at most for what is in the first one at the beginning."""
PLAIN = (Lane(""),)


def in_plain_lane(key: Key, again: bool) -> str:
    """Return the lane of all keys, where there is one only."""
    del key, again
    return PLAIN[0].name


async def _nothing(key: Key, error: Exception) -> None:
    """Do no more about an object that is set aside."""


class _Timer(NamedTuple):
    """When a key is due, on the loop's clock. A handle does not tell: uvloop's has no time when the delay was 0."""

    when: float
    handle: asyncio.Handle


class WorkQueue:
    """Feeds the keys of one controller to its reconciler, each by a worker of its lane.

    What waits in the first lane when `run` begins is looked at before the other lanes begin. An object whose reconcile
    crashes MOST_CRASHES times in a row is handed to `set_aside` and left alone until it is added again, because it has
    changed.
    """

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        lanes: Sequence[Lane] = PLAIN,
        lane_of: Callable[[Key, bool], str] = in_plain_lane,
        set_aside: Callable[[Key, Exception], Awaitable[None]] = _nothing,
    ) -> None:
        """Make a queue; `lane_of` says where a key belongs, given whether it failed when it was looked at last."""
        self.name = name
        self._reconcile = reconcile
        self._lanes = tuple(lanes)
        self._lane_of = lane_of
        self._waiting = Waiting(self._lanes)
        self._working: set[Key] = set()
        self._working_in = Counter[str]()
        self._again: set[Key] = set()
        self._timers: dict[Key, _Timer] = {}
        self._failures: dict[Key, int] = {}
        self._crashes: dict[Key, int] = {}
        self._set_aside = set_aside
        self._available = {lane.name: asyncio.Semaphore(0) for lane in self._lanes}
        self._first: set[Key] = set()
        self._begun = asyncio.Event()

    def add(self, key: Key) -> None:
        """Have `key` reconciled; once more when it is being worked on right now."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.handle.cancel()
        if key in self._working:
            self._again.add(key)
        else:
            lane = self._lane_of(key, key in self._failures)
            if self._waiting.put(key, lane):
                self._available[lane].release()
            self._show(lane)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have `key` reconciled in `seconds`, unless it is before."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None and timer.when <= when:
            return
        if timer is not None:
            timer.handle.cancel()
        self._timers[key] = _Timer(when, loop.call_later(seconds, self.add, key))

    def hurry(self) -> None:
        """Have every key that waits for its next try after a failure reconciled now."""
        for key in list(self._failures):
            if key in self._timers:
                self._failures.pop(key)
                self.add(key)

    async def run(self) -> None:
        """Work until cancelled."""
        self._first = set(self._waiting.of(self._lanes[0].name))
        self._note_first()
        opening = asyncio.get_running_loop().call_later(FIRST_SECONDS, self._begun.set)
        try:
            async with TaskOwner(self.name) as owner:
                for lane in self._lanes:
                    places = asyncio.Semaphore(max(lane.most, lane.workers))
                    for number in range(lane.workers):
                        owner.spawn(f"worker-{lane.name}{number}", self._work(lane, owner, places))
        finally:
            opening.cancel()
            for timer in self._timers.values():
                timer.handle.cancel()
            self._timers.clear()

    def _note_first(self, *done: Key) -> None:
        self._first.difference_update(done)
        if not self._first:
            self._begun.set()

    async def _work(self, lane: Lane, owner: TaskOwner, places: asyncio.Semaphore) -> None:
        if lane is not self._lanes[0]:
            await self._begun.wait()
        while True:
            demand_not_cancelled()
            await self._available[lane.name].acquire()
            await places.acquire()
            key = self._take(lane)
            if key is None:
                places.release()
            elif lane.patience is None:
                await self._one(key, lane, places)
            else:
                task = owner.spawn("/".join(key), self._one(key, lane, places))
                await asyncio.wait({task}, timeout=lane.patience)

    def _take(self, lane: Lane) -> Key | None:
        """Return the next key of a lane; None when it went to another one meanwhile."""
        key = self._waiting.take(lane.name)
        if key is None:
            return None
        if self._lane_of(key, key in self._failures) != lane.name:
            self.add(key)
            return None
        self._working.add(key)
        self._working_in[lane.name] += 1
        self._show(lane.name)
        return key

    def _show(self, lane: str) -> None:
        metrics.queue_depth.labels(controller=self.name).set(len(self._waiting))
        if lane:
            metrics.queue_keys.labels(lane, "waiting").set(len(self._waiting.of(lane)))
            metrics.queue_keys.labels(lane, "working").set(self._working_in[lane])

    async def _one(self, key: Key, lane: Lane, places: asyncio.Semaphore) -> None:
        metrics.loop_iterations_total.labels(loop=f"queue/{self.name}").inc()
        try:
            await self._reconcile_once(key, lane)
        finally:
            self._working.discard(key)
            self._working_in[lane.name] -= 1
            self._show(lane.name)
            places.release()
        self._note_first(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def _reconcile_once(self, key: Key, lane: Lane) -> None:
        result = "success"
        with metrics.reconcile_duration_seconds.labels(controller=self.name).time():
            try:
                async with asyncio.timeout(lane.timeout):
                    after = await self._reconcile(key)
            except (KubeError, TimeoutError) as error:
                result = "error"
                self._failed(key, error)
            except (DeposedError, JournalClosedError):
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
