"""Runs with more actions than may be under way: what has no slot is not recorded as started."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.engine.definition import Address
from app.engine.events import ActionStarted
from app.engine.fold import initial_status
from app.engine.outcome import Outcome, Succeeded
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.runtime.tracing import Traces
from controller.effect_slots import EffectSlots
from controller.journal import Entry
from controller.run import runner
from controller.run.runner import Run
from controller.services import utc_now
from controller.status_pace import StatusPace
from tests.unit.engine.runs import S, definition_of, flow, phases, snapshot_of, stage

pytestmark = pytest.mark.looptime


class Controller:
    """Runs with fakes round them: what was recorded, what is under way, how much of it at most."""

    def __init__(self, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorded: list[Entry] = []
        self.seconds: dict[str, float] = {}
        """How long the actions of a run take, by uid; 1 s."""
        self.began: list[tuple[str, float]] = []
        self.now = self.most = 0
        self.lease = 60.0
        self.slots = EffectSlots(most)
        settings = SimpleNamespace(unknown_after=120.0)
        journal = SimpleNamespace(append=self.append, demand_lead=lambda: None)
        self.services: Any = SimpleNamespace(
            settings=settings,
            journal=journal,
            kube=None,
            recorder=SimpleNamespace(emit=lambda *_, **__: None),
            executions=SimpleNamespace(),
            status_pace=StatusPace(0.5),
            effect_slots=self.slots,
            traces=Traces(),
            lease_remaining=lambda: self.lease,
            now=utc_now,
        )
        monkeypatch.setattr(runner, "attempt", self.attempt)
        monkeypatch.setattr(runner, "record_end", self.nothing)
        monkeypatch.setattr(runner, "StatusWriter", lambda *_, **__: cast(Any, self))

    async def append(self, entries: list[Entry]) -> None:
        await asyncio.sleep(0.01)
        self.recorded += entries

    async def attempt(self, _services: object, snapshot: Any, *_: object, **__: object) -> Outcome:
        self.began.append((snapshot.execution_uid, asyncio.get_running_loop().time()))
        self.now += 1
        self.most = max(self.most, self.now)
        started = sum(isinstance(entry.event, ActionStarted) for entry in self.recorded)
        assert len(self.began) <= started, "begun before it was recorded"
        try:
            await asyncio.sleep(self.seconds.get(snapshot.execution_uid, 1.0))
        finally:
            self.now -= 1
        return Succeeded("done")

    async def nothing(self, *_: object, **__: object) -> None:
        """Stand in for the record of an end, and for the status writer."""

    run = flush = nothing

    def offer(self, *_: object, **__: object) -> None:
        """Take a status."""

    def start(self, uid: str, *stages: S, in_doubt: tuple[Address, ...] = ()) -> tuple[Run, asyncio.Task[Any]]:
        snapshot = snapshot_of(*stages).model_copy(update={"execution_uid": uid, "plan_name": uid})
        definition = definition_of(*stages)
        status: DRPlanExecutionStatus = initial_status(definition, utc_now(), generation=1)
        stored = {"metadata": {"name": uid, "namespace": "ns", "uid": uid}}
        run = Run(self.services, snapshot, definition, status, stored, in_doubt=in_doubt)
        return run, asyncio.create_task(run.run())


def wide(count: int) -> S:
    return stage("s", *(flow(f"a{number}") for number in range(count)), parallel=True)


async def ended(run: asyncio.Task[Any]) -> DRPlanExecutionStatus:
    async with asyncio.timeout(600):
        status = await run
    assert isinstance(status, DRPlanExecutionStatus)
    assert status.phase is Phase.SUCCEEDED
    assert set(phases(status).values()) == {"Succeeded"}
    return status


async def test_the_rest_is_not_recorded_as_started_and_follows_when_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(10, monkeypatch)
    _, task = controller.start("big", wide(100))
    await asyncio.sleep(0.5)
    assert controller.now == 8, "one run alone gets four fifths"
    assert sum(isinstance(entry.event, ActionStarted) for entry in controller.recorded) == 8
    await ended(task)
    assert len(controller.began) == 100
    assert controller.most == 8


async def test_a_single_action_of_another_plan_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(10, monkeypatch)
    controller.seconds = {"big": 3600.0}
    _, big = controller.start("big", wide(200))
    await asyncio.sleep(1)
    others = [controller.start(f"small-{number}", stage("s", flow("a", "b")))[1] for number in range(2)]
    since = asyncio.get_running_loop().time()
    for task in others:
        await ended(task)
    assert asyncio.get_running_loop().time() - since < 30, "the actions of the big one take an hour each"
    assert controller.most <= 10
    big.cancel()
    await asyncio.wait({big})
    assert controller.slots.ask("next", 8, lambda: None) == 8, "a run that was broken off gives all back"


async def test_runs_share_when_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(10, monkeypatch)
    tasks = [controller.start(f"r{number}", wide(20))[1] for number in range(15)]
    for task in tasks:
        await ended(task)
    assert controller.most == 10
    first = {uid: min(at for each, at in controller.began if each == uid) for uid, _ in controller.began}
    assert max(first.values()) - min(first.values()) < 3, "each has begun within two rounds of one second"


async def test_a_cancel_is_heard_while_actions_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(10, monkeypatch)
    controller.seconds = {"big": 30.0}
    run, task = controller.start("big", wide(50))
    await asyncio.sleep(1)
    run.cancel("Execution canceled by user")
    async with asyncio.timeout(60):
        await task
    assert run.status.phase is Phase.CANCELLED
    assert len(controller.began) == 8, "nothing more was begun"


async def test_a_shutdown_and_a_lost_lease_leave_the_slots_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(10, monkeypatch)
    run, task = controller.start("big", wide(50))
    await asyncio.sleep(0.5)
    run.drain()
    async with asyncio.timeout(60):
        await task
    assert len(controller.began) == 8
    controller.lease = 0.0
    _, waiting = controller.start("late", wide(3))
    await asyncio.sleep(5)
    assert len(controller.began) == 8
    assert controller.slots.ask("next", 8, lambda: None) == 8
    controller.slots.leave("next")
    controller.lease = 60.0
    await ended(waiting)
