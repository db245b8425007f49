"""`make bench`: what drplan costs on a real API server, beside the physical floor measured in the same run.

The floor is what the API server itself needs on this machine for a small ConfigMap write and for a status write, and
the target for a call, each asked by a bare client on one connection. Every case is measured in several rounds; nothing
here fails, a missed target is just shown as one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.admission import AdmissionRow, ServiceFigures, measure_admission, print_admission
from bench.cases import CASES
from bench.lab import Lab, installed
from bench.machine import Machine, describe
from bench.report import costs_text, figures_markdown, figures_text, notes, point_text

Admission = tuple[list[AdmissionRow], ServiceFigures]
ADMISSION = "admission"
SCALING = "scale-"
"""Begin of the names of cases that take minutes each, for the plot."""


def main() -> None:
    """Measure and print the table, or JSON with `--json`."""
    arguments = _arguments()
    admission: Admission | None = None
    whole: dict[str, Any] = {}
    with installed(arguments.rounds) as lab:
        machine = describe(lab.plane)
        print(machine.line(), file=sys.stderr)
        for name in arguments.only:
            print(f"{name} (load {os.getloadavg()[0]:.1f})", file=sys.stderr)
            try:
                if name == ADMISSION:
                    admission = measure_admission(lab.plane, rounds=arguments.rounds, seconds=arguments.seconds)
                else:
                    CASES[name](lab)
            finally:
                whole = _json(machine, lab, admission)
                _save(arguments, machine, lab, whole)
    if arguments.json:
        print(json.dumps(whole, indent=1))
    else:
        _print(machine, lab, arguments.markdown)
        if admission is not None:
            print_admission(*admission, arguments.rounds)


def _arguments() -> argparse.Namespace:
    names = [*CASES, ADMISSION]
    usual = [name for name in names if not name.startswith(SCALING)]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds a case; the median counts (default 3)")
    parser.add_argument(
        "--only",
        type=_names,
        default=usual,
        metavar="NAME[,NAME]",
        help=f"just these cases: {', '.join(names)} (default: all but {SCALING}...)",
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of an admission round (default 4)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--points", type=Path, help="write what the scale cases measure to this file, for bench.plot")
    parser.add_argument("--output", type=Path, help="also write the JSON to this file")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in (*CASES, ADMISSION)]:
        raise argparse.ArgumentTypeError(f"no case {', '.join(unknown)}; there are {', '.join(CASES)} and {ADMISSION}")
    return names


def _json(machine: Machine, lab: Lab, admission: Admission | None) -> dict[str, Any]:
    out: dict[str, Any] = {
        "machine": asdict(machine),
        "figures": [figure.to_json() for figure in lab.results.figures],
        "points": [point.to_json() for point in lab.results.points],
        "costs": [cost.to_json() for cost in lab.results.costs],
    }
    if admission is not None:
        out[ADMISSION] = {"rows": [asdict(row) for row in admission[0]], "service": asdict(admission[1])}
    return out


def _save(arguments: argparse.Namespace, machine: Machine, lab: Lab, whole: dict[str, Any]) -> None:
    """Write the files that are asked for: after every case, and what there is when one is interrupted."""
    if arguments.points is not None:
        points = {"machine_line": machine.line(), "points": [point.to_json() for point in lab.results.points]}
        arguments.points.write_text(json.dumps(points, indent=1) + "\n")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(whole, indent=1) + "\n")


def _print(machine: Machine, lab: Lab, markdown: bool) -> None:
    figures = lab.results.figures
    if not figures and not lab.results.points:
        return
    print(machine.line())
    print(f"load {os.getloadavg()[0]:.1f} at the end, {lab.rounds} rounds")
    print(figures_markdown(figures) if markdown else figures_text(figures))
    print(notes(figures))
    print(costs_text(lab.results.costs))
    for point in lab.results.points:
        print(point_text(point))


if __name__ == "__main__":
    main()
