"""The scaling plot: time above and memory below, against size. Needs the extra `bench` (matplotlib).

`python -m bench.plot FOLDER` draws FOLDER/scaling.svg from FOLDER/scaling.json, which the benchmark writes.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PANELS: Mapping[str, tuple[str, ...]] = {
    "actions of a run, in sequence": ("actions of a run",),
    "runs at once, 10 calls of 100 ms each": ("runs at once",),
    "finished runs of 20 actions stored": (
        "finished runs: start to ready",
        "finished runs: a run of 10 actions",
    ),
}
"""Series of each column."""
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "drplan",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
}
"""The same figures make the same file."""

Points = Sequence[Mapping[str, Any]]


def draw(points: Points, machine: str, file: Path) -> None:
    """Draw all series into one SVG file."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(11, 6), layout="constrained")
        axes = figure.subplots(2, len(PANELS))
        for column, (title, names) in enumerate(PANELS.items()):
            for name in names:
                _series([point for point in points if point["series"] == name], axes[0][column], axes[1][column])
            axes[0][column].set_title(title)
            axes[0][column].set_ylabel("seconds: median, best, worst")
            axes[1][column].set_ylabel("controller: resident MB")
            for one in (axes[0][column], axes[1][column]):
                one.set_ylim(bottom=0)
                one.grid(alpha=0.3)
            if len(names) > 1:
                axes[0][column].legend()
        figure.supxlabel(machine, fontsize=7)
        figure.savefig(file, metadata={"Date": None})


def _series(points: Points, time: Axes, memory: Axes) -> None:
    sizes = [point["size"] for point in points]
    medians = [statistics.median(point["seconds"]) for point in points]
    label = points[0]["series"].rpartition(": ")[2] if points else ""
    time.plot(sizes, medians, marker="o", label=label)
    time.fill_between(sizes, [min(p["seconds"]) for p in points], [max(p["seconds"]) for p in points], alpha=0.2)
    memory.plot(sizes, [point["resident_mb"] for point in points], marker="o")


def main() -> None:
    """Draw from a folder's JSON."""
    folder = Path(sys.argv[1])
    found = json.loads((folder / "scaling.json").read_text())
    draw(found["points"], found["machine_line"], folder / "scaling.svg")


if __name__ == "__main__":
    main()
