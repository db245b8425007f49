"""Prints which share of the lines of each package the last run with coverage has passed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from coverage import Coverage

REPOSITORY = Path(__file__).parents[2]


def main() -> None:
    """Read `.coverage`; a package without its subpackages is one line."""
    coverage = Coverage(data_file=REPOSITORY / ".coverage")
    coverage.load()
    lines: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for file in coverage.get_data().measured_files():
        _, statements, _, unseen, _ = coverage.analysis2(file)
        package = ".".join(Path(file).relative_to(REPOSITORY).parent.parts)
        for name in (package, "all"):
            lines[name] += len(statements)
            missing[name] += len(unseen)
    print(f"{'package':32}{'lines':>8}{'passed':>9}")
    for name in sorted(lines, key=lambda name: (name == "all", name)):
        if lines[name]:
            print(f"{name:32}{lines[name]:8}{1 - missing[name] / lines[name]:9.1%}")


if __name__ == "__main__":
    main()
