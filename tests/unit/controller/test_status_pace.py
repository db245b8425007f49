"""When statuses are written: a slow run shows each change at once, a fast one and many at once show few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from controller.run.status_writer import StatusWriter
from controller.status_pace import StatusPace

pytestmark = pytest.mark.looptime


class Written:
    """Takes statuses, each in so many seconds, and notes when."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.times: list[float] = []

    async def replace(self, _resource: object, body: dict[str, Any], *, subresource: str) -> dict[str, Any]:
        assert subresource == "status"
        self.times.append(round(asyncio.get_running_loop().time(), 3))
        await asyncio.sleep(self.seconds)
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(len(self.times))}}


async def _leading() -> None:
    return


@asynccontextmanager
async def writing(
    kube: Written, pace: StatusPace, stored: DRPlanExecutionStatus | None = None
) -> AsyncIterator[StatusWriter]:
    metadata = ObjectMeta(name="e", namespace="ns", uid="u", resource_version="1")
    writer = StatusWriter(
        cast("KubeClient", kube),
        metadata,
        pace=pace,
        on_written=lambda _stored, _sequence: None,
        on_refused=lambda why: pytest.fail(why),
        on_touched=lambda how: pytest.fail(how),
        demand_lead=_leading,
        stored=stored,
    )
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.wait({task})


def numbered(number: int) -> DRPlanExecutionStatus:
    return DRPlanExecutionStatus(journal_sequence=number)


async def changing(writer: StatusWriter, seconds: float, every: float = 0.01) -> None:
    """Offer a new status at the start, urgently, and one after another from then on."""
    writer.offer(numbered(0), urgent=True)
    for number in range(1, round(seconds / every)):
        await asyncio.sleep(every)
        writer.offer(numbered(number))


async def test_a_fast_run_writes_each_interval_and_once_more() -> None:
    kube = Written()
    async with writing(kube, StatusPace(0.5)) as writer:
        await changing(writer, 2.0)
        assert len(kube.times) == 5
        assert all(later - sooner > 0.4 for sooner, later in pairwise(kube.times[2:]))


async def test_a_change_after_a_quiet_interval_shows_at_once() -> None:
    kube = Written()
    async with writing(kube, StatusPace(0.5)) as writer:
        for number, at in enumerate((0.0, 0.2, 0.9, 1.6)):
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            writer.offer(numbered(number), urgent=number == 0)
        await asyncio.sleep(0.1)
        assert kube.times == [0.0, 0.2, 0.9, 1.6]


async def test_many_runs_write_less_often_each() -> None:
    pace = StatusPace(0.5)
    kube = Written()
    with ExitStack() as others:
        for _ in range(59):
            others.enter_context(pace.joined())
        async with writing(kube, pace) as writer:
            await changing(writer, 6.0)
    assert pace.interval == 0.5
    assert len(kube.times) == 5


async def test_no_number_of_runs_makes_a_status_old() -> None:
    pace = StatusPace(0.5)
    with ExitStack() as others:
        for _ in range(1000):
            others.enter_context(pace.joined())
        assert pace.interval == 2.5


async def test_slow_writes_are_made_less_often() -> None:
    kube = Written(seconds=0.2)
    async with writing(kube, StatusPace(0.5)) as writer:
        await changing(writer, 5.0)
    assert len(kube.times) == 3


async def test_what_is_stored_already_counts_as_the_first_write() -> None:
    kube = Written()
    async with writing(kube, StatusPace(0.5), stored=numbered(0)) as writer:
        await asyncio.sleep(0.1)
        for number in range(1, 4):
            writer.offer(numbered(number))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        assert kube.times == [0.5]


async def test_an_urgent_status_does_not_wait_for_what_is_stored() -> None:
    kube = Written()
    async with writing(kube, StatusPace(0.5), stored=numbered(0)) as writer:
        await writer.flush()
        assert kube.times == []
        writer.offer(numbered(1), urgent=True)
        await writer.flush()
        assert kube.times == [0.0]
