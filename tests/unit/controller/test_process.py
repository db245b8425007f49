"""What the probes say of a process that leads, holds on, or should be gone; and what is done when it is back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.runtime.watchdog import Watchdog
from controller.process import Process, health_of, watch_over


class World:
    """A process whose lease, journal and event loop are as the test says."""

    def __init__(self) -> None:
        self.deposed = ""
        self.adrift = 0.0
        self.closed = False
        self.ending = False
        self.age = 0.0
        self.anew = 0
        self.confirmed = 0
        self.now = 0.0
        self.ended: list[str] = []
        cache = SimpleNamespace(synced=True, seconds_since_last_line=1.0, list_anew=self._list_anew)
        made = SimpleNamespace(
            lease=SimpleNamespace(adrift_seconds=lambda: self.adrift),
            journal=SimpleNamespace(confirm=self._confirm),
            caches={"drplans": cache},
            when_back=[],
        )
        self.process = cast("Process", made)
        self.watchdog = Watchdog(end=self.ended.append, clock=lambda: self.now)
        made.no_longer_leads = lambda: Process.no_longer_leads(self.process)
        self.health = health_of(self.process)
        self.health.heartbeat = cast("Any", SimpleNamespace(age=lambda: self.age))
        watch_over(self.process, self.watchdog, self.health, cast("Any", self))
        self.update()

    def update(self) -> None:
        cast("Any", self.process.lease).deposed = self.deposed
        cast("Any", self.process.journal).closed = self.closed

    def _list_anew(self) -> None:
        self.anew += 1

    async def _confirm(self) -> None:
        self.confirmed += 1

    def set(self, **facts: Any) -> World:
        for name, value in facts.items():
            setattr(self, name, value)
        self.update()
        return self

    def pass_(self, seconds: float) -> list[str]:
        """Let the watchdog look for some time; what it ended the process for."""
        for _ in range(round(seconds * 4) + 1):
            self.now += 0.25
            self.watchdog.look()
        return self.ended

    def live(self) -> list[str]:
        return [result.problem for result in self.health.live() if result.problem]

    async def ready(self) -> list[str]:
        return [result.problem for result in await self.health.ready() if result.problem]


async def test_a_leader_that_holds_on_lives_and_is_not_ready() -> None:
    world = World().set(adrift=600.0)
    assert world.live() == []
    assert "renewed 600 s ago" in (await world.ready())[0]
    assert world.pass_(60) == []


@pytest.mark.parametrize("facts", [{"deposed": "held by other"}, {"closed": True}], ids=["lease", "journal"])
async def test_who_was_the_leader_and_is_still_here_does_not_live(facts: dict[str, Any]) -> None:
    world = World().set(**facts)
    assert "was the leader, is not any more" in world.live()[0]
    assert world.pass_(4.5) == []
    assert "no longer leads" in world.pass_(1)[0]


def test_a_blocked_leader_without_lease_time_is_ended() -> None:
    assert World().set(adrift=1.0, age=6.0).pass_(4) != []


@pytest.mark.parametrize("facts", [{"age": 60.0}, {"adrift": 60.0, "age": 1.0}], ids=["standby or in time", "turning"])
def test_others_are_not(facts: dict[str, Any]) -> None:
    assert World().set(**facts).pass_(30) == []


def test_a_process_whose_task_failed_must_not_hang_in_its_end() -> None:
    assert "a task of the process has failed" in World().set(ending=True).pass_(6)[0]


async def test_whoever_is_back_loses_no_more_time() -> None:
    world, called = World(), list[str]()
    world.process.when_back.append(lambda: called.append("queue"))
    await Process.confirm(world.process)
    assert (world.confirmed, world.anew, called) == (1, 1, ["queue"])
