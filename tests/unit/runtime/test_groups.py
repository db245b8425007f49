"""Several things at once: failures are passed on, and no cancellation is ever lost, whatever happens beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from app.runtime.groups import TaskGroup, both, demand_not_cancelled, together
from app.runtime.tasks import TaskOwner, every
from controller.lanes import Lane
from controller.queue import WorkQueue

pytestmark = pytest.mark.looptime


async def fail(seconds: float, *, twice: bool = False) -> None:
    """Fail after a time; `twice`: also fail when told to end."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if twice:
            raise OSError("broke off") from None
        raise
    raise ValueError("broken")


async def slow_to_end() -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(2)


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def with_both(*works: Coroutine[Any, Any, None]) -> None:
    await both(*works)


async def with_together(*works: Coroutine[Any, Any, None]) -> None:
    await together(works)


async def with_group(*works: Coroutine[Any, Any, None]) -> None:
    async with TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def with_group_and_body(*works: Coroutine[Any, Any, None]) -> None:
    async with TaskGroup() as group:
        for work in works:
            group.create_task(work)
        await asyncio.sleep(1000)


async def with_owner(*works: Coroutine[Any, Any, None]) -> None:
    async with TaskOwner("test") as owner:
        for work in works:
            owner.spawn("work", work)


async def within_timeout(*works: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(500):
        await both(*works)


WAYS = [with_both, with_together, with_group, with_group_and_body, with_owner, within_timeout]
Way = Callable[..., Awaitable[None]]


async def stubborn_loop(way: Way, seconds: float, *, twice: bool) -> None:
    """What a worker does: try, note the failure, go on."""
    while True:
        with contextlib.suppress(ValueError, OSError, ExceptionGroup, TimeoutError):
            await way(fail(seconds, twice=twice), slow_to_end())
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("when", [0.5, 1.0, 1.5, 2.0, 3.0, 3.5, 6.0])
async def test_whoever_is_cancelled_ends(way: Way, when: float, twice: bool) -> None:
    """At every moment: before the failure, in the same one (1.0), while the rest is ending (until 3.0)."""
    task = asyncio.create_task(stubborn_loop(way, 1.0, twice=twice))
    await asyncio.sleep(when)
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()


@pytest.mark.parametrize("way", WAYS)
async def test_the_cancellation_may_come_before_or_after_the_failure_in_one_turn_of_the_loop(way: Way) -> None:
    """A process that was stopped wakes up with everything due at once."""
    loop = asyncio.get_running_loop()
    for earlier in (-1e-6, 0.0, 1e-6):
        task = asyncio.create_task(stubborn_loop(way, 1.0, twice=False))
        loop.call_at(loop.time() + 1.0 + earlier, task.cancel)
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()


@pytest.mark.parametrize("way", WAYS)
async def test_a_failure_by_itself_is_raised_and_leaves_no_trace(way: Way) -> None:
    for _ in range(3):
        with pytest.raises((ValueError, ExceptionGroup)):
            await way(fail(1.0), slow_to_end())
        assert current().cancelling() == 0
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", WAYS[:5])
async def test_a_time_limit_round_it_is_a_time_limit(way: Way) -> None:
    for limit in (0.5, 1.0, 1.5, 2.5):
        with pytest.raises((TimeoutError, ValueError, ExceptionGroup)):
            async with asyncio.timeout(limit):
                await way(fail(1.0), slow_to_end())
        assert current().cancelling() == 0
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", WAYS)
async def test_repeated_cancellation_waits_for_the_children_all_the_same(way: Way) -> None:
    ended: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            ended.append("child")

    task = asyncio.ensure_future(way(child(), child()))
    await asyncio.sleep(1)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.1)
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()
    assert ended


async def test_the_block_may_fail_beside_its_children() -> None:
    async def fails() -> None:
        async with TaskGroup() as group:
            group.create_task(slow_to_end())
            group.create_task(fail(1.0, twice=True))
            await asyncio.sleep(0.5)
            raise KeyError("block")

    with pytest.raises(ExceptionGroup) as caught:
        await fails()
    assert {type(error) for error in caught.value.exceptions} == {OSError, KeyError}


async def test_a_task_started_while_the_group_ends_is_cancelled() -> None:
    late: list[asyncio.Task[None]] = []

    async def starts_another(group: TaskGroup) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            late.append(group.create_task(slow_to_end()))

    async def fails() -> None:
        async with TaskGroup() as group:
            group.create_task(starts_another(group))
            group.create_task(fail(1.0))

    with pytest.raises(ExceptionGroup):
        await fails()
    assert late[0].cancelled()


async def test_loops_notice_a_cancellation_that_something_below_them_swallowed() -> None:
    async def swallows() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return

    async def reconcile(_key: tuple[str, str]) -> float | None:
        await swallows()
        return None

    queue = WorkQueue("swallowing", reconcile, lanes=(Lane("", workers=1),))
    queue.add(("a", "b"))
    for loop in (every("swallowing", 1, swallows), queue.run()):
        task = asyncio.create_task(loop)
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()


async def test_demanding_that_nobody_was_cancelled() -> None:
    demand_not_cancelled()
    current().cancel()
    with pytest.raises(asyncio.CancelledError):
        demand_not_cancelled()
    current().uncancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)


async def test_two_things_at_the_same_time_give_both_results() -> None:
    met = asyncio.Barrier(2)

    async def one(result: str) -> str:
        await met.wait()
        return result

    assert await both(one("a"), one("b")) == ("a", "b")


async def test_the_failure_of_one_ends_the_other_and_is_raised_itself() -> None:
    ended = asyncio.Event()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("why")

    async def waits() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with pytest.raises(KeyError, match="why"):
        await both(waits(), fails())
    assert ended.is_set()
