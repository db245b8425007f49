"""Every fault at a handful of writes, for an Execute and a Revert; `make chaos` has all plans and all writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.case import Bounds, Case, Result
from tests.chaos.faults import FAULTS, STOPS, Fault, Times
from tests.chaos.points import passes
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stand import LATE_SECONDS, Stand
from tests.crash.conftest import Rig
from tests.support.site import Site

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(600)]
BOUNDS = Bounds(recovery=90.0, times=Times(slow=2.0, late=LATE_SECONDS))
"""Generous: a busy machine is no finding here. `make chaos` has the bound that the documentation promises."""
POINTS = 1
"""Every fault at every write is tried in memory (`test_memory.py`); here, that it is so in truth."""
PLAN = next(scenario for scenario in SCENARIOS if scenario.name == "sequential")
OPERATIONS = ("Execute", "Revert")


@pytest.fixture(scope="module")
def stand(rig: Rig, site: Site) -> Iterator[Stand]:
    stand = Stand(rig, site, BOUNDS)
    yield stand
    stand.stop()


@pytest.fixture(scope="module")
def recorded(stand: Stand) -> dict[str, int]:
    """How many writes the runs have when nothing disturbs them."""
    stand.use("lasting")
    results = stand.run([Case(PLAN, operation) for operation in OPERATIONS])
    assert_nothing_violated(results)
    return {result.case.group: result.writes for result in results}


def assert_nothing_violated(results: list[Result]) -> None:
    found = [f"{result.case.id} at {result.hit}: {result.violation}" for result in results if result.violation]
    assert not found, "\n".join(found)


def cases(
    recorded: dict[str, int], faults: tuple[Fault, ...], points: int, operations: tuple[str, ...] = OPERATIONS
) -> list[Case]:
    runs = [Case(PLAN, operation) for operation in operations]
    return [case for each in passes(recorded, runs, faults)[:points] for case in each]


def test_faults_at_writes_of_runs_side_by_side(stand: Stand, recorded: dict[str, int]) -> None:
    results = stand.run(cases(recorded, tuple(fault for fault in FAULTS if not fault.alone), POINTS))
    assert_nothing_violated(results)
    assert {result.case.fault for result in results if result.reached} == {f for f in FAULTS if not f.alone}


def test_kills_at_writes(stand: Stand, recorded: dict[str, int]) -> None:
    results = stand.run(cases(recorded, tuple(fault for fault in FAULTS if fault.alone), POINTS))
    assert_nothing_violated(results)
    assert {result.case.fault for result in results if result.reached} == {f for f in FAULTS if f.alone}


@pytest.mark.parametrize(("kind", "operation"), [("short", "Execute"), ("standby", "Revert")])
def test_stops_at_writes(stand: Stand, recorded: dict[str, int], kind: str, operation: str) -> None:
    stand.use(kind)
    results = stand.run(cases(recorded, STOPS, 1, (operation,)))
    assert_nothing_violated(results)
    assert any(result.reached for result in results)
