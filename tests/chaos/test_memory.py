"""Every fault at every write of one plan, in memory; `make chaos` has all plans."""

from __future__ import annotations

import pytest

from tests.chaos.memory import FAULTS, disturbed
from tests.chaos.scenarios import SCENARIOS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLAN = next(scenario for scenario in SCENARIOS if scenario.name == "sequential")


@pytest.mark.parametrize("operation", ["Execute", "Revert"])
async def test_every_fault_at_every_write(operation: str) -> None:
    found = await disturbed(PLAN, operation)
    assert {each.fault for each in found} == {fault.name for fault in FAULTS}
    assert len(found) > 10 * len(FAULTS)
    assert [f"{each.id}: {each.violation}" for each in found if each.violation] == []
