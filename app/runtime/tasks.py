"""Tasks with an owner, loops with a name, delays with jitter.

Nothing here restarts a task that crashed: an unexpected exception is logged with the task's name and ends the
owner, and with it the process, because a half-working controller is worse than a restarted one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from app.runtime import metrics
from app.runtime.groups import TaskGroup, demand_not_cancelled
from app.runtime.logging import get_logger

log = get_logger(__name__)

T = TypeVar("T")


class TaskOwner:
    """A named `TaskGroup`: leaving the block waits for all tasks, a crash of one cancels the rest.

    A crash leaves the block as an ExceptionGroup, as with `TaskGroup`, and CancelledError when its own task was told to
    end.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._group = TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._group.__aexit__(kind, error, trace)

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task; `name` appears in logs and debuggers. Its exception ends the owner."""
        task = self._group.create_task(self._supervise(name, work), name=f"{self.name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # it has not begun when the task is cancelled at once
        return task

    @property
    def ending(self) -> bool:
        """Whether a task has failed, or the owner was told to end, so that the rest is being cancelled."""
        return self._group.ending

    def cancel_all(self) -> None:
        """Cancel every task that is still running; leaving the block then ends as soon as they have cleaned up."""
        for task in tuple(self._tasks):
            task.cancel()

    async def _supervise(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except Exception as e:
            log.error("task failed", task=f"{self.name}/{name}", error=f"{type(e).__name__}: {e}", exc_info=e)
            raise


class Backoff:
    """Growing delays: `initial`, times `factor` each, at most `maximum` seconds, with random jitter.

    A delay is `base * (1 + random * jitter)`, never above `maximum`, as client-go does it. When `reset_after`
    seconds of the loop clock have gone by since the last call of `next`, the row starts again.
    """

    def __init__(
        self,
        initial: float = 0.8,
        maximum: float = 30.0,
        *,
        factor: float = 2.0,
        jitter: float = 1.0,
        reset_after: float | None = 120.0,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._initial = initial
        self._maximum = maximum
        self._factor = factor
        self._jitter = jitter
        self._reset_after = reset_after
        self._rand = rand
        self._base = initial
        self._last_call: float | None = None

    def next(self) -> float:
        """Return the seconds to wait now; each call makes the next delay longer."""
        now = asyncio.get_running_loop().time()
        quiet = None if self._last_call is None else now - self._last_call
        if self._reset_after is not None and quiet is not None and quiet >= self._reset_after:
            self.reset()
        self._last_call = now
        delay = min(self._maximum, self._base * (1.0 + self._rand() * self._jitter))
        self._base = min(self._maximum, self._base * self._factor)
        return delay

    def reset(self) -> None:
        """Start the row again, because things went well."""
        self._base = self._initial


def backoff(
    initial: float = 0.8,
    maximum: float = 30.0,
    *,
    factor: float = 2.0,
    jitter: float = 1.0,
    rand: Callable[[], float] = random.random,
) -> Iterator[float]:
    """Yield an endless row of growing, jittered delays in seconds (no clock, no reset)."""
    base = initial
    while True:
        yield min(maximum, base * (1.0 + rand() * jitter))
        base = min(maximum, base * factor)


async def every(
    name: str,
    seconds: float,
    fn: Callable[[], Awaitable[object]],
    *,
    timeout: float | None = None,
    tolerate: tuple[type[Exception], ...] = (),
) -> None:
    """Call `fn` now and then `seconds` after each call's end, for ever; counted as loop `name`.

    One call may take `timeout` seconds (ten times the interval, at least 30, by default); running out of time
    counts as TimeoutError. Exceptions in `tolerate` are logged and the loop goes on, others end it.
    """
    limit = timeout if timeout is not None else max(30.0, 10 * seconds)
    iterations = metrics.loop_iterations_total.labels(name)
    while True:
        demand_not_cancelled()
        iterations.inc()
        try:
            async with asyncio.timeout(limit):
                await fn()
        except tolerate as e:
            log.warning("loop iteration failed", loop=name, error=f"{type(e).__name__}: {e}")
        await asyncio.sleep(seconds)
