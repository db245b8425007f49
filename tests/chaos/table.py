"""The one table of a run of the suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import memory
from tests.chaos.case import Result
from tests.chaos.groups import Outcome

HEADINGS = ("scenario", "faults", "points", "cases", "violations", "worst recovery")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: of how many writes (points) how many cases were run, and what came of them."""

    scenario: str
    faults: str
    points: str
    cases: int
    violations: int
    recovery: str

    def cells(self) -> tuple[str, ...]:
        """The words of the line."""
        return (self.scenario, self.faults, self.points, str(self.cases), str(self.violations), self.recovery)


def rows(results: Sequence[Result], outcomes: Sequence[Outcome], recorded: dict[str, int]) -> list[Row]:
    """Return a row for every operation of every scenario, and for every group of tests.

    A case counts when its fault happened: in some runs a write is not made that the recorded run had.
    """
    found = []
    for group in dict.fromkeys(result.case.group for result in results):
        mine = [result for result in results if result.case.group == group and (result.reached or result.violation)]
        if not mine:
            continue
        points = {result.case.nth for result in mine}
        found.append(
            Row(
                group,
                str(len({result.case.fault.name for result in mine if result.case.fault})),
                f"{len(points)} of {recorded.get(group, 0)}",
                len(mine),
                sum(bool(result.violation) for result in mine),
                f"{max(result.recovery for result in mine):.1f} s",
            )
        )
    return [*found, *(_row_of(outcome) for outcome in outcomes)]


def memory_rows(found: Sequence[memory.Found]) -> list[Row]:
    """Return a row for every operation of every scenario that was run in memory."""
    lines = []
    for group in dict.fromkeys(each.group for each in found):
        mine = [each for each in found if each.group == group]
        points = str(max(each.nth for each in mine))
        faults = str(len({each.fault for each in mine}))
        worst = f"{max(each.recovery for each in mine):.1f} s"
        violations = sum(bool(each.violation) for each in mine)
        lines.append(Row(f"memory/{group}", faults, f"{points} of {points}", len(mine), violations, worst))
    return lines


def _row_of(outcome: Outcome) -> Row:
    took = f"(took {outcome.seconds:.0f} s)"
    return Row(f"tests/{outcome.group.name}", outcome.group.about, "", outcome.tests, len(outcome.failed), took)


def text(lines: Sequence[Row]) -> str:
    """Return the table as Markdown that is readable as it is."""
    cells = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    drawn = [
        "| " + " | ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([drawn[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *drawn[1:]])


def by_fault(results: Sequence[Result]) -> list[str]:
    """Return a line for each fault: cases, violations, worst recovery."""
    lines = []
    for name in dict.fromkeys(result.case.fault.name for result in results if result.case.fault):
        mine = [r for r in results if r.case.fault and r.case.fault.name == name and (r.reached or r.violation)]
        if mine:
            worst = max(result.recovery for result in mine)
            violations = sum(bool(result.violation) for result in mine)
            lines.append(f"  {name:20} {len(mine):5} cases, {violations} violations, worst recovery {worst:.1f} s")
    return lines
