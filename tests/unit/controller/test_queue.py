"""Keys that failed for long need not wait out their delay when the API server is back."""

from __future__ import annotations

import asyncio

import pytest

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
