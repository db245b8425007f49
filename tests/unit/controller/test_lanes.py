"""Starts that hang hold up neither other starts nor runs that are taken up; none is made twice at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from app.kube.errors import ApiUnavailable
from app.runtime import metrics
from controller.lanes import Key, Lane
from controller.queue import FIRST_SECONDS, WorkQueue
from controller.reconcilers.lanes import LANES, MOST_STARTS, START_SECONDS, lane_of
from controller.start.interruption import TOLD_AFTER, Starting, StartInterruptedError

pytestmark = pytest.mark.looptime


class Executions:
    """The cache: executions by name, and what looking at them does."""

    def __init__(self) -> None:
        self.stored: dict[Key, dict[str, Any]] = {}
        self.hangs = 10.0
        self.done: list[tuple[str, float]] = []
        self.working = Counter[Key]()
        self.most = 0
        self.queue = WorkQueue(
            "drplanexecution",
            self.reconcile,
            lanes=LANES,
            lane_of=lambda key, again: lane_of(cast(Any, self), lambda uid: uid.startswith("journal"), key, again),
        )

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.stored.get((namespace, name))

    def put(self, name: str, phase: str = "", **metadata: Any) -> None:
        key = ("ns", name)
        status = {"phase": phase} if phase else {}
        self.stored[key] = {"metadata": {"name": name, "uid": name, **metadata}, "status": status}
        self.queue.add(key)

    async def reconcile(self, key: Key) -> float | None:
        self.working[key] += 1
        assert self.working[key] == 1, "one execution is looked at by one worker at a time"
        self.most = max(self.most, self.working.total())
        try:
            metadata = self.stored[key]["metadata"]
            if key[1].startswith("hangs") and "deletionTimestamp" not in metadata:
                await asyncio.sleep(self.hangs)
                raise ApiUnavailable("no answer", server="http://a", in_doubt=False)
            await asyncio.sleep(0.1)
        finally:
            self.working[key] -= 1
        self.done.append((key[1], now()))
        return None

    def when(self, name: str) -> float:
        return next(at for each, at in self.done if each == name)


def now() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def working(executions: Executions) -> Iterator[None]:
    task = asyncio.create_task(executions.queue.run())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.parametrize("count", [12, 60, 150])
async def test_starts_that_hang_hold_up_no_other(count: int) -> None:
    executions = Executions()
    with working(executions):
        for number in range(count):
            executions.put(f"hangs-{number}")
        await asyncio.sleep(60)
        executions.put("good")
        executions.put("taken-up", "Running")
        executions.put("ended", "Succeeded")
        since = now()
        await asyncio.sleep(5)
    assert executions.when("good") - since < 1
    assert executions.when("taken-up") - since < 1
    assert executions.when("ended") - since < 1
    assert executions.most <= 2 * MOST_STARTS + 8


async def test_a_start_right_behind_a_crowd_that_hangs_waits_for_its_turn_only() -> None:
    executions = Executions()
    with working(executions):
        for number in range(12):
            executions.put(f"hangs-{number}")
        executions.put("good")
        await asyncio.sleep(5)
    assert executions.when("good") < 2


async def test_the_starts_under_way_are_bounded_and_shown() -> None:
    executions = Executions()
    executions.hangs = 1e6
    with working(executions):
        for number in range(3 * MOST_STARTS):
            executions.put(f"hangs-{number}")
        await asyncio.sleep(50)
        assert executions.working.total() == MOST_STARTS
        assert shown("start", "working") == MOST_STARTS
        assert shown("start", "waiting") == 2 * MOST_STARTS
        await asyncio.sleep(START_SECONDS)
        assert (shown("repeated-start", "working") or 0) > 0, (
            "each has a deadline, and is tried again behind the others"
        )


def shown(lane: str, state: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("drplan_queue_keys", {"lane": lane, "state": state})


async def test_runs_to_be_taken_up_come_before_all_else() -> None:
    executions = Executions()
    executions.put("journal-emptied-by-hand")
    for number in range(100):
        executions.put(f"ended-{number}", "Succeeded")
        executions.put(f"new-{number}")
        executions.put(f"run-{number}", "Running" if number % 2 else "Unknown")
    with working(executions):
        await asyncio.sleep(30)
    order = [name.split("-")[0] for name, _ in executions.done]
    assert order[:101].count("run") == 100
    assert order[:101].count("journal") == 1
    assert len(order) == 301


async def test_a_run_that_cannot_be_taken_up_holds_up_the_rest_for_a_while_only() -> None:
    executions = Executions()
    executions.hangs = 1e6
    executions.put("hangs-run", "Running")
    executions.put("new")
    with working(executions):
        await asyncio.sleep(2 * FIRST_SECONDS)
    assert executions.when("new") < FIRST_SECONDS + 1


async def test_a_deletion_passes_the_starts_that_wait() -> None:
    executions = Executions()
    executions.hangs = 1e6
    with working(executions):
        for number in range(2 * MOST_STARTS):
            executions.put(f"hangs-{number}")
        await asyncio.sleep(30)
        since, waiting = now(), f"hangs-{2 * MOST_STARTS - 1}"
        executions.put(waiting, deletionTimestamp="2026-01-01T00:00:00Z")
        await asyncio.sleep(1)
    assert executions.when(waiting) - since < 0.5


async def test_a_key_that_changed_while_it_was_looked_at_is_looked_at_again_when_that_is_over() -> None:
    calls = []

    async def reconcile(key: Key) -> float | None:
        calls.append(now())
        await asyncio.sleep(3)
        return None

    queue = WorkQueue("q", reconcile, lanes=(Lane("", 1, patience=0.5, most=5),))
    task = asyncio.create_task(queue.run())
    queue.add(("ns", "e"))
    await asyncio.sleep(1)
    queue.add(("ns", "e"))
    await asyncio.sleep(10)
    assert len(calls) == 2
    assert calls[1] - calls[0] >= 3
    task.cancel()
    await asyncio.wait({task})


async def test_a_start_that_reads_is_called_off_at_once() -> None:
    starting = Starting()
    asyncio.get_running_loop().call_later(1, starting.interrupt, "u")
    asyncio.get_running_loop().call_later(1, starting.interrupt, "another")
    ended = []

    async def reading() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append(now())

    with starting.noted("u"), pytest.raises(StartInterruptedError):
        await starting.unless_interrupted("u", reading())
    assert now() < 2
    assert len(ended) == 1
    starting.interrupt("u")
    with starting.noted("u"):
        starting.interrupt("u")
        with pytest.raises(StartInterruptedError):
            await starting.unless_interrupted("u", reading())


async def test_what_reading_raises_and_returns_comes_through() -> None:
    async def fails() -> None:
        raise ApiUnavailable("away", server="http://a", in_doubt=False)

    async def works() -> int:
        return 7

    starting = Starting()
    with starting.noted("u"):
        with pytest.raises(ApiUnavailable):
            await starting.unless_interrupted("u", fails())
        assert await starting.unless_interrupted("u", works()) == 7


@pytest.mark.parametrize(("takes", "told"), [(TOLD_AFTER - 1, []), (TOLD_AFTER + 3, [TOLD_AFTER])])
async def test_a_start_that_reads_for_long_says_so_once(takes: float, told: list[float]) -> None:
    said: list[float] = []

    async def still_reading() -> None:
        said.append(now())
        await asyncio.sleep(0)

    starting, began = Starting(), now()
    with starting.noted("u"):
        await starting.unless_interrupted("u", asyncio.sleep(takes), still_reading)
    assert [at - began for at in said] == pytest.approx(told)
