"""Owned tasks, growing delays, named loops."""

from __future__ import annotations

import asyncio
import inspect
import itertools

import pytest

from app.runtime import metrics
from app.runtime.tasks import Backoff, TaskOwner, backoff, every

pytestmark = pytest.mark.looptime


async def crash() -> None:
    await asyncio.sleep(1)
    raise ValueError("broken")


async def test_a_crash_ends_the_owner_and_its_other_tasks() -> None:
    ended: list[str] = []

    async def other() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("other")

    async def both() -> None:
        async with TaskOwner("test") as owner:
            owner.spawn("other", other())
            owner.spawn("bad", crash())

    with pytest.raises(ExceptionGroup) as caught:
        await both()
    assert [str(e) for e in caught.value.exceptions] == ["broken"]
    assert ended == ["other"]


async def test_tasks_bear_their_names_and_results() -> None:
    async def answer() -> int:
        return 42

    async with TaskOwner("test") as owner:
        task = owner.spawn("answer", answer())
    assert task.get_name() == "test/answer"
    assert task.result() == 42


async def test_all_tasks_can_be_ended_in_order() -> None:
    async with TaskOwner("test") as owner:
        tasks = [owner.spawn(str(n), asyncio.sleep(1000)) for n in range(3)]
        await asyncio.sleep(1)
        owner.cancel_all()
    assert all(task.cancelled() for task in tasks)


async def test_what_is_ended_before_it_has_begun_is_closed() -> None:
    never = asyncio.sleep(1000)
    async with TaskOwner("test") as owner:
        owner.spawn("never", never)
        owner.cancel_all()
    assert inspect.getcoroutinestate(never) == inspect.CORO_CLOSED


def test_delays_grow_to_the_maximum() -> None:
    assert list(itertools.islice(backoff(1, 10, rand=lambda: 0.0), 6)) == [1, 2, 4, 8, 10, 10]


def test_jitter_lengthens_but_never_beyond_the_maximum() -> None:
    assert list(itertools.islice(backoff(1, 10, jitter=0.5, rand=lambda: 1.0), 5)) == [1.5, 3, 6, 10, 10]


async def test_delays_start_again_after_a_good_time() -> None:
    delays = Backoff(1, 30, reset_after=120, rand=lambda: 0.0)
    assert [delays.next() for _ in range(4)] == [1, 2, 4, 8]
    await asyncio.sleep(119)
    assert delays.next() == 16
    await asyncio.sleep(120)
    assert delays.next() == 1
    delays.next()
    delays.reset()
    assert delays.next() == 1


async def test_a_loop_is_counted_and_survives_what_it_tolerates() -> None:
    calls: list[float] = []
    loop = asyncio.get_running_loop()

    async def work() -> None:
        calls.append(loop.time())
        if len(calls) == 2:
            raise KeyError("transient")
        if len(calls) == 4:
            raise ValueError("final")

    with pytest.raises(ValueError, match="final"):
        await every("test-loop", 10, work, tolerate=(KeyError,))
    assert [round(b - a) for a, b in itertools.pairwise(calls)] == [10, 10, 10]
    assert metrics.REGISTRY.get_sample_value("drplan_loop_iterations_total", {"loop": "test-loop"}) == 4


async def test_an_iteration_that_hangs_is_ended() -> None:
    async def hang() -> None:
        await asyncio.sleep(1000)

    with pytest.raises(TimeoutError):
        await every("hanging", 1, hang, timeout=5)
