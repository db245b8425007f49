"""The table, as text and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.figures import Cost, Figure, Point

HEADINGS = ("case", "what", "median", "best", "worst", "target", "", "floor", "x floor")
VERDICTS = {True: "met", False: "MISSED", None: ""}


def figures_text(figures: Sequence[Figure]) -> str:
    """The figures in columns."""
    rows = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def figures_markdown(figures: Sequence[Figure]) -> str:
    """The figures as a table for docs/performance.md."""
    head = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return "\n".join([*head, *(f"| {' | '.join(_cells(figure))} |" for figure in figures)])


def notes(figures: Sequence[Figure]) -> str:
    """What the figures' columns do not say."""
    return "\n".join(f"{figure.case}, {figure.what}: {figure.note}" for figure in figures if figure.note)


def costs_text(costs: Sequence[Cost]) -> str:
    """What one round of each case took."""
    return "\n".join(_cost(cost) for cost in costs)


def point_text(point: Point) -> str:
    """One size of a series."""
    cpu = "" if point.cpu_ms is None else f", controller CPU {point.cpu_ms:.2f} ms a call"
    return (
        f"{point.series}, {point.size}: median {statistics.median(point.seconds):.2f} s, {point.each_ms:.2f} ms each, "
        f"resident {point.resident_mb:.0f} MB{cpu}"
    )


def _cells(figure: Figure) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{_digits(value)} {figure.unit}"

    return (
        figure.case,
        figure.what,
        number(figure.median),
        number(min(figure.values)),
        number(max(figure.values)),
        number(figure.target),
        VERDICTS[figure.met],
        number(figure.floor),
        f"{figure.to_floor:.1f}" if figure.to_floor is not None else "",
    )


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cost(cost: Cost) -> str:
    requests = ", ".join(f"{count} {name}" for name, count in cost.requests.items())
    processors = ", ".join(f"{name} {seconds:.2f}" for name, seconds in cost.cpu.items())
    return (
        f"{cost.case}: {cost.status_writes} status writes ({cost.status_bytes / 1e3:.0f} kB), {cost.journal_writes} "
        f"journal writes ({cost.journal_bytes / 1e3:.0f} kB)\n    CPU seconds: {processors}\n    requests: {requests}"
    )
