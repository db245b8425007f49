"""Every write of every scenario meets every fault, all of them, on an API server in memory.

`make chaos` begins with it: some thousand cases in some minutes; `make chaos ONLY='memory/*'` has just them. What takes
processes, sockets or a real etcd is in the other cases and groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog

from app.kube.errors import ApiError, ApiUnavailable, error_from_status
from app.kube.resources import CONFIG_MAPS, EXECUTIONS, JOBS
from app.runtime.groups import first_error
from tests.chaos.effects import judge_calls, judge_config_maps, judge_once
from tests.chaos.scenarios import SCENARIOS, Scenario, Side, operations, side
from tests.support.installation import execution, http_action, revert
from tests.support.memory.api import MemoryApi, Request
from tests.support.memory.controller import OWN, MemoryController, Site, controller
from tests.support.site import Answer

Act = Callable[["Disturbance", Request], Awaitable[None]]
"""Does something at a write, and raises what the controller gets for an answer."""
LATE = 0.2
"""Seconds after which a late request is carried out."""
PATIENCE = 30.0
"""Seconds in which a run has to end, whatever it meets."""
SIDE_BY_SIDE = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at one write and at those that follow it; `kills` of it end the process."""

    name: str
    acts: tuple[Act, ...]
    kills: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a case; `recovery` is in seconds from its fault to the end of the run."""

    group: str
    fault: str
    nth: int
    violation: str = ""
    recovery: float = 0.0
    asked: bool = False

    @property
    def id(self) -> str:
        """Its name."""
        return f"memory/{self.group}/{self.fault}/{self.nth}"


class Disturbance:
    """Counts a controller's writes, Events aside; from a number on, each act meets one."""

    def __init__(self, api: MemoryApi, nth: int, acts: Sequence[Act]) -> None:
        self.api = api
        self.seen = 0
        self.died = asyncio.Event()
        self.late: list[asyncio.Task[None]] = []
        self.at = 0.0
        self._nth = nth
        self._acts = list(acts)

    @property
    def met(self) -> bool:
        """Whether the run had a write of that number."""
        return self.at > 0

    async def meet(self, request: Request) -> None:
        """Look at a request before it reaches the API server."""
        if not request.is_write:
            return
        self.seen += 1
        if self.seen >= self._nth and self._acts:
            self.at = time.monotonic()
            await self._acts.pop(0)(self, request)


def _refusal(code: int, reason: str) -> ApiError:
    return error_from_status({"code": code, "reason": reason, "message": "refused by the test"}, http_status=code)


def _lost() -> ApiUnavailable:
    return ApiUnavailable("lost by the test", server="memory", in_doubt=True)


async def lose_request(_: Disturbance, __: Request) -> None:
    """No answer, and nothing done."""
    raise _lost()


async def lose_answer(at: Disturbance, request: Request) -> None:
    """Done, but no answer."""
    at.api.answer(request)
    raise _lost()


async def refuse_when_done(at: Disturbance, request: Request) -> None:
    """Done, and said to be refused."""
    at.api.answer(request)
    raise _refusal(504, "Timeout")


async def apply_late(at: Disturbance, request: Request) -> None:
    """No answer, and done a while later."""

    async def later() -> None:
        await asyncio.sleep(LATE)
        with contextlib.suppress(ApiError):
            at.api.answer(request)

    at.late.append(asyncio.create_task(later()))
    raise _lost()


async def refuse_500(_: Disturbance, __: Request) -> None:
    """Refused by a server in trouble."""
    raise _refusal(500, "InternalError")


async def refuse_429(_: Disturbance, __: Request) -> None:
    """Refused for now."""
    raise _refusal(429, "TooManyRequests")


async def conflict(_: Disturbance, request: Request) -> None:
    """Refused, because somebody else was first."""
    if request.method != "POST":
        raise _refusal(409, "Conflict")


async def kill_before(at: Disturbance, _: Request) -> None:
    """The process ends, and the request is not sent."""
    at.died.set()
    await asyncio.Event().wait()


async def kill_after(at: Disturbance, request: Request) -> None:
    """The process ends once the request was carried out."""
    with contextlib.suppress(ApiError):
        at.api.answer(request)
    at.died.set()
    await asyncio.Event().wait()


FAULTS = (
    Fault("request lost", (lose_request,)),
    Fault("answer lost", (lose_answer,)),
    Fault("504 when done", (refuse_when_done,)),
    Fault("409", (conflict,)),
    Fault("429", (refuse_429,)),
    Fault("500", (refuse_500,)),
    Fault("applied late", (apply_late,)),
    Fault("500 then answer lost", (refuse_500, lose_answer)),
    Fault("answer lost twice", (lose_answer, lose_answer)),
    Fault("late then request lost", (apply_late, lose_request)),
    Fault("killed before", (kill_before,), kills=1),
    Fault("killed after", (kill_after,), kills=1),
    Fault("answer lost then killed", (lose_answer, kill_before), kills=1),
    Fault("killed twice", (kill_after, kill_before), kills=2),
)


class _MemorySite(Site):
    def script(self, path: str, *answers: Answer) -> None:
        self.rows[path] = [answer.status for answer in answers]


@dataclass(slots=True)
class World:
    """The cluster and the targets of a case; what the objects of its scenario are made with."""

    api: MemoryApi = field(default_factory=MemoryApi)
    site: _MemorySite = field(default_factory=_MemorySite)
    namespace: str = "ns"

    def http(self, name: str, **more: Any) -> dict[str, Any]:
        """An HTTP action that calls the path of its name."""
        return http_action(name, f"http://site.invalid/{name}", **more)

    def path(self, path: str) -> str:
        """A path of the site."""
        return f"/{path}"

    def copied(self) -> World:
        """The same world, to be gone on with apart."""
        site = _MemorySite()
        site.calls, site.keys = list(self.site.calls), list(self.site.keys)
        site.rows = {path: list(row) for path, row in self.site.rows.items()}
        return World(self.api.copied(), site)


class _Case:
    """One operation of a scenario with a fault at its `nth` write."""

    def __init__(self, world: World, scenario: Scenario, operation: str, fault: Fault | None, nth: int) -> None:
        self.world = world
        self.scenario = scenario
        self.side: Side = side(scenario, operation)
        self.is_revert = operation == "Revert"
        self.name = "r" if self.is_revert else "e"
        self.fault = fault
        self.asked = False
        self.disturbance = Disturbance(world.api, nth, fault.acts if fault else ())
        self._was_cancelled = False

    async def run(self) -> None:
        """Run it to its end, by as many processes as it takes, and check what must hold."""
        before = {name: self._uid(name) for name in self.side.config_maps}
        held = self.side.cancels or self.side.removes
        if held:
            self.world.site.gates[f"/{held}"] = asyncio.Event()
        async with asyncio.timeout(PATIENCE):
            for _ in range(1 + (self.fault.kills if self.fault else 0)):
                self.disturbance.died.clear()
                async with controller(self.world.api, self.world.site) as drplan:
                    drplan.line.before = self.disturbance.meet
                    await self._until_end_or_death(drplan)
                if not drplan.dead:
                    break
        await asyncio.gather(*self.disturbance.late)
        self._check(before)

    async def _until_end_or_death(self, drplan: MemoryController) -> None:
        dying = asyncio.create_task(self.disturbance.died.wait())
        going = asyncio.create_task(self._go(drplan))
        await asyncio.wait({dying, going}, return_when=asyncio.FIRST_COMPLETED)
        drplan.dead = self.disturbance.died.is_set()
        dying.cancel()
        if drplan.dead:
            going.cancel()
        await asyncio.wait({dying, going})
        if not drplan.dead:
            going.result()

    async def _go(self, drplan: MemoryController) -> None:
        """Do what users do, from wherever that has come to, until the run has ended and is deleted."""
        if self._find() is None and not self._was_cancelled:
            await drplan.apply(revert("r", "p", "e") if self.is_revert else execution("e", "p"))
        others = [asyncio.create_task(each) for each in (self._make_ready(drplan), _run_jobs(drplan))]
        try:
            await self._cancel(drplan)
            await drplan.until(lambda: self._has_ended(drplan) or self._ask(drplan))
            while self.asked and not self._has_ended(drplan):
                await drplan.annotate(self.name, resume="true")
                await drplan.until(lambda: drplan.status(self.name).get("phase") != "Unknown")
                await drplan.until(lambda: self._has_ended(drplan))
            await drplan.until(lambda: "currentExecution" not in drplan.plan_status("p"))
        finally:
            for each in others:
                each.cancel()
            await asyncio.wait(others)

    async def _cancel(self, drplan: MemoryController) -> None:
        held = self.side.cancels or self.side.removes
        if not held:
            return
        gate = self.world.site.gates[f"/{held}"]
        if not self._was_cancelled:
            await drplan.until(lambda: f"/{held}" in self.world.site.calls or self._find() is None)
            self._was_cancelled = True
            if self.side.removes:
                await drplan.kube.delete(EXECUTIONS, self.name, namespace="ns")
            else:
                await drplan.annotate(self.name, cancel="true")
            journal = "drplan-journal"
            await drplan.until(
                lambda: (
                    any(
                        "CancelRequested" in str(each.get("data"))
                        for each in self.world.api.objects("configmaps")
                        if each["metadata"]["name"].startswith(journal)
                    )
                    or self._find() is None
                )
            )
        gate.set()

    async def _make_ready(self, drplan: MemoryController) -> None:
        """Make ready what a run waits for."""
        if self.side.meanwhile is None:
            return
        while self.world.api.find("configmaps", "one") is None:
            await asyncio.sleep(0.005)
        await drplan.kube.patch(CONFIG_MAPS, "one", {"data": {"go": "1"}}, namespace="ns")

    def _find(self) -> dict[str, Any] | None:
        return self.world.api.find("drplanexecutions", self.name)

    def _has_ended(self, drplan: MemoryController) -> bool:
        if self.side.removes:
            return self._find() is None
        return drplan.status(self.name).get("phase") in ("Succeeded", "Failed", "Cancelled")

    def _ask(self, drplan: MemoryController) -> bool:
        found = self._find() is not None and drplan.status(self.name).get("phase") == "Unknown"
        self.asked = self.asked or found
        return found

    def _uid(self, name: str) -> str:
        found = self.world.api.find("configmaps", name)
        return found["metadata"]["uid"] if found else ""

    def _check(self, before: dict[str, str]) -> None:
        api = self.world.api
        found = self._find()
        if not self.side.removes:
            assert found is not None
            assert found["status"]["phase"] == self.side.phase, found["status"].get("message")
        else:
            assert found is None, "the deleted execution is still there"
        plan = api.find("drplans", "p")
        assert plan is not None
        records = [each for each in plan["status"]["executionHistory"] if each["name"] == self.name]
        assert [each["phase"] for each in records] == [self.side.phase], records
        self._check_calls()
        judge_config_maps(lambda name: api.find("configmaps", name), self.side.config_maps, before)
        judge_once(api.changes("configmaps", "ADDED"), api.changes("configmaps", "DELETED"))
        if found is None and not self.is_revert:
            left = [each["metadata"]["name"] for each in api.objects("configmaps") if _is_kept(each)]
            assert not left, f"left of the run are {left}"

    def _check_calls(self) -> None:
        keys: dict[str, list[str]] = {}
        for path, key in self.world.site.keys:
            keys.setdefault(path.removeprefix("/"), []).append(key)
        kills = self.fault.kills if self.fault else 0
        before = self.scenario.execute.calls if self.is_revert else {}
        judge_calls(keys, before, again=0, also=self.side.calls, also_again=kills)


def _is_kept(obj: dict[str, Any]) -> bool:
    """Whether an object of the controller's namespace belongs to one run: snapshot, prior state, record."""
    labels = obj["metadata"].get("labels") or {}
    return obj["metadata"]["namespace"] == OWN and "dr.bkbcs.tencent.com/execution-uid" in labels


async def _run_jobs(drplan: MemoryController) -> None:
    """Let every Job complete, as its controller would."""
    done = {"status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}}
    while True:
        for job in drplan.api.objects("jobs"):
            if not job.get("status"):
                metadata = job["metadata"]
                with contextlib.suppress(ApiError):
                    await drplan.kube.patch(
                        JOBS, metadata["name"], done, namespace=metadata["namespace"], subresource="status"
                    )
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def _begun(scenario: Scenario, operation: str) -> AsyncIterator[World]:
    """The world before an operation: its objects, and for a Revert the Execute, which nothing disturbed."""
    world = World()
    async with controller(world.api, world.site) as drplan:
        objects = scenario.objects(world)
        for obj in objects:
            if obj["kind"] == "ConfigMap":
                await drplan.kube.create(CONFIG_MAPS, obj, namespace="ns")
            else:
                await drplan.apply(obj)
        await drplan.until(lambda: drplan.plan_status("p").get("phase") == "Ready")
    if operation == "Revert":
        await _Case(world, scenario, "Execute", None, 0).run()
    yield world


async def disturbed(scenario: Scenario, operation: str, faults: Sequence[Fault] = FAULTS) -> list[Found]:
    """Run an operation once for each of its writes and each fault, some side by side: most of their time is waiting."""
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def tried(world: World, fault: Fault, nth: int) -> Found | None:
        async with side_by_side:
            case = _Case(world.copied(), scenario, operation, fault, nth)
            violation = ""
            try:
                await case.run()
            except Exception as error:
                violation = f"{type(error).__name__}: {first_error(error)}"
            recovery = time.monotonic() - case.disturbance.at
            group = f"{scenario.name}/{operation}"
            return Found(group, fault.name, nth, violation, recovery, case.asked) if case.disturbance.met else None

    async with _begun(scenario, operation) as world:
        counting = _Case(world.copied(), scenario, operation, None, 0)
        await counting.run()
        writes = range(1, counting.disturbance.seen + 1)
        found = await asyncio.gather(*(tried(world, fault, nth) for fault in faults for nth in writes))
    return [each for each in found if each is not None]


def _worked(name: str, operation: str) -> list[Found]:
    """What a worker process does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    scenario = next(each for each in SCENARIOS if each.name == name)
    return asyncio.run(disturbed(scenario, operation))


def everything(wanted: Callable[[str], bool] = lambda _: True) -> Iterator[list[Found]]:
    """Run all cases of all scenarios that are wanted, on as many workers as there are processors."""
    units = [(each.name, operation) for each in SCENARIOS for operation in operations(each)]
    chosen = [unit for unit in units if wanted("/".join(unit))]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_worked, *zip(*chosen, strict=True)) if chosen else ()
