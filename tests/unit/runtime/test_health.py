"""Liveness from the heartbeat, readiness from checks."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.runtime import health
from app.runtime.health import CheckResult, Health, Heartbeat


async def fine() -> str | None:
    return None


async def missing() -> str | None:
    return "no list of plans yet"


async def stuck() -> str | None:
    await asyncio.sleep(1000)
    return None


async def test_a_heart_that_beats_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "HEARTBEAT_SECONDS", 0.001)
    beat = Heartbeat()
    beat._stamp = time.monotonic() - 100
    state = Health(heartbeat=beat)
    assert state.live() == [CheckResult("event-loop", "the event loop last turned 100.0 s ago")]
    task = asyncio.create_task(beat.run())
    await asyncio.sleep(0.01)
    assert state.live()[0].ok
    task.cancel()


def test_more_may_be_asked_of_the_living() -> None:
    state = Health()
    problems: list[str] = []
    state.add_live_check("lease", lambda: "; ".join(problems) or None)
    assert all(result.ok for result in state.live())
    problems.append("somebody else leads")
    assert state.live()[1] == CheckResult("lease", "somebody else leads")


@pytest.mark.looptime
async def test_all_checks_are_asked_and_named() -> None:
    state = Health()
    state.add_check("a", fine)
    state.add_check("b", missing)
    state.add_check("c", stuck)
    assert await state.ready() == [
        CheckResult("a", None),
        CheckResult("b", "no list of plans yet"),
        CheckResult("c", "no answer within 2 s"),
    ]


def test_a_name_is_used_once() -> None:
    state = Health()
    state.add_check("a", fine)
    with pytest.raises(ValueError, match="'a' exists already"):
        state.add_check("a", missing)
