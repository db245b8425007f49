"""Every write of a run and of its way back meets every fault, and the process ends before or after each: in memory.

`make chaos` does the same on a real API server, with processes that are really killed and stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.kube.errors import ApiError, ApiUnavailable, error_from_status
from tests.support.installation import config_map_action, http_action, phases_of, plan, stage, workflow
from tests.support.memory.api import MemoryApi, Request
from tests.support.memory.controller import MemoryController, Site, controller

pytestmark = pytest.mark.slow

Fault = Callable[["Writes", Request], Awaitable[None]]
MOST_WRITES = 80
"""More than any of the runs here makes."""


def refusal(code: int, reason: str) -> ApiError:
    return error_from_status({"code": code, "reason": reason, "message": f"{reason} by the test"}, http_status=code)


class Writes:
    """Counts a controller's writes, Events aside; the one of a number meets a fault."""

    def __init__(self, drplan: MemoryController, number: int, fault: Fault) -> None:
        self.api = drplan.api
        self.left = number
        self.fault = fault
        drplan.line.before = self.meet

    @property
    def met(self) -> bool:
        """Whether there was one of that number."""
        return self.left <= 0

    async def meet(self, request: Request) -> None:
        self.left -= request.is_write
        if self.left == 0 and request.is_write:
            await self.fault(self, request)


async def request_lost(_writes: Writes, _request: Request) -> None:
    raise ApiUnavailable("lost by the test", server="memory", in_doubt=True)


async def answer_lost(writes: Writes, request: Request) -> None:
    writes.api.answer(request)
    raise ApiUnavailable("lost by the test", server="memory", in_doubt=True)


async def failed_after(writes: Writes, request: Request) -> None:
    writes.api.answer(request)
    raise refusal(504, "Timeout")


async def failed(_writes: Writes, _request: Request) -> None:
    raise refusal(500, "InternalError")


async def conflict(_writes: Writes, request: Request) -> None:
    if request.method != "POST":
        raise refusal(409, "Conflict")


async def too_many(_writes: Writes, _request: Request) -> None:
    raise refusal(429, "TooManyRequests")


FAULTS: dict[str, Fault] = {
    each.__name__: each for each in (request_lost, answer_lost, failed_after, failed, conflict, too_many)
}


def undone(name: str, **more: Any) -> dict[str, Any]:
    rollback = {"type": "HTTP", "http": {"url": f"http://site.invalid/un-{name}", "method": "POST"}}
    return http_action(name, f"http://site.invalid/{name}", rollback=rollback, **more)


async def planned(drplan: MemoryController) -> None:
    actions = [undone("a"), config_map_action("made", "made", "ns"), undone("b")]
    await drplan.apply(workflow("p", actions), plan("p", [stage("s", "p")]))
    await drplan.until(lambda: drplan.plan_status("p").get("phase") == "Ready")


def is_right(drplan: MemoryController, *, reverted: bool) -> None:
    """Compare what was done, and what is told, with what was asked for."""
    assert phases_of(drplan.status("e")) == {"a": "Succeeded", "made": "Succeeded", "b": "Succeeded"}
    assert drplan.status("e")["summary"]["succeededActions"] == 3
    made = drplan.api.find("configmaps", "made")
    assert (made is None) is reverted
    ended = [(each["name"], each["phase"]) for each in drplan.plan_status("p")["executionHistory"]]
    assert ended == [*([("back", "Succeeded")] if reverted else []), ("e", "Succeeded")]
    assert "currentExecution" not in drplan.plan_status("p")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_at_each_write_changes_nothing_but_the_time(fault: Fault) -> None:
    number, met = 0, True
    while met:
        number += 1
        assert number < MOST_WRITES
        async with controller() as drplan:
            await planned(drplan)
            writes = Writes(drplan, number, fault)
            await drplan.run("e", "p")
            is_right(drplan, reverted=False)
            await drplan.take_back("back", "p", "e")
            is_right(drplan, reverted=True)
            assert drplan.site.calls == ["/a", "/b", "/un-b", "/un-a"], f"write {number}"
            met = writes.met
    assert number > 10


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_the_process_may_end_at_each_write(after: bool) -> None:
    number, met = int(after) - 1, True
    while met:
        number += 2
        assert number < MOST_WRITES
        api, site, met = MemoryApi(), Site(), False
        died = asyncio.Event()

        async def die(writes: Writes, request: Request, died: asyncio.Event = died) -> None:
            if after:
                writes.api.answer(request)
            died.set()
            await asyncio.Event().wait()

        async with controller(api, site) as first:
            await planned(first)
            writes = Writes(first, number, die)
            going = asyncio.create_task(both_ways(first))
            dying = asyncio.create_task(died.wait())
            await asyncio.wait({going, dying}, return_when=asyncio.FIRST_COMPLETED)
            met = first.dead = writes.met
            going.cancel()
            dying.cancel()
            await asyncio.wait({going, dying})
        async with controller(api, site) as second:
            await both_ways(second)
            is_right(second, reverted=True)
            assert list(dict.fromkeys(site.calls)) == ["/a", "/b", "/un-b", "/un-a"], f"write {number}"
            assert len(site.calls) <= 5, "one call was in doubt, at most"


async def both_ways(drplan: MemoryController) -> None:
    """Execute and revert, from wherever that has come to."""
    if drplan.api.find("drplanexecutions", "e") is None:
        await drplan.run("e", "p")
    else:
        await drplan.ended("e")
    if drplan.api.find("drplanexecutions", "back") is None:
        await drplan.take_back("back", "p", "e")
    else:
        await drplan.ended("back")
