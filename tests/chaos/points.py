"""The table of cases: every write of every operation and every fault, in an order that is worth stopping in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.case import Case
from tests.chaos.faults import Fault
from tests.chaos.scenarios import Scenario, operations


def recordings(scenarios: Iterable[Scenario]) -> list[Case]:
    """The runs without a fault whose writes are the points."""
    return [Case(scenario, operation) for scenario in scenarios for operation in operations(scenario)]


def passes(recorded: Mapping[str, int], cases: Sequence[Case], faults: Sequence[Fault]) -> list[list[Case]]:
    """Return all cases in passes: each has every fault at one point of every operation, another point each.

    `recorded` has the number of writes of each group of `cases`. The order is the same in every run.
    """
    found: list[list[Case]] = []
    for fault in faults:  # faults that take long stand side by side
        for case in cases:
            for number, nth in enumerate(_shuffled(f"{case.group}/{fault.name}", recorded.get(case.group, 0))):
                while len(found) <= number:
                    found.append([])
                found[number].append(Case(case.scenario, case.operation, fault, nth))
    return found


def _shuffled(seed: str, writes: int) -> list[int]:
    """The numbers of the writes from 1 on, in an order that depends on the seed alone."""
    return sorted(range(1, writes + 1), key=lambda nth: hashlib.sha256(f"{seed}/{nth}".encode()).digest())
