"""Delays of keys: they end when the API server is back, and the earliest of several counts."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from app.kube.errors import ApiUnavailable
from controller.queue import WorkQueue

pytestmark = pytest.mark.looptime


async def test_hurrying_ends_the_delay_of_what_failed_and_of_nothing_else() -> None:
    away = True
    done: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()

    async def reconcile(key: tuple[str, str]) -> float | None:
        if away and key[1] == "failing":
            raise ApiUnavailable("away", server="http://a", in_doubt=False)
        done.append((key[1], loop.time()))
        return 1000.0 if key[1] == "later" else None

    queue = WorkQueue("hurried", reconcile)
    task = asyncio.create_task(queue.run())
    queue.add(("ns", "failing"))
    queue.add(("ns", "later"))
    await asyncio.sleep(300)
    away = False
    since = loop.time()
    queue.hurry()
    await asyncio.sleep(0.1)
    assert [name for name, at in done if at >= since] == ["failing"]
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("order", [(0.0, 0.0), (0.0, 5.0), (5.0, 0.0), (0.0004, 0.0003), (0.02, 0.01)])
def test_the_earliest_of_several_delays_counts_on_the_loop_that_the_controller_runs_on(
    order: tuple[float, float],
) -> None:
    async def work() -> None:
        done = asyncio.Event()

        async def reconcile(key: tuple[str, str]) -> float | None:
            del key
            done.set()
            return None

        queue = WorkQueue("delayed", reconcile)
        task = asyncio.create_task(queue.run())
        for seconds in order:
            queue.add_after(("ns", "key"), seconds)
        await asyncio.wait({task, asyncio.ensure_future(done.wait())}, timeout=30, return_when="FIRST_COMPLETED")
        assert not task.done()
        assert done.is_set()
        task.cancel()
        await asyncio.wait({task})

    uvloop.run(work())
