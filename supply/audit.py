"""``python -m supply.audit LOCK``: known vulnerabilities of the pinned packages, by pip-audit.

pip-audit says "No known vulnerabilities found" also where its database knows none of the packages, as an index of a
mirror may. Here what was not looked up counts as not checked, and is said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PATIENCE_SECONDS: Final = 60
REQUEST_SECONDS: Final = 10
MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of the packages of a lock."""

    vulnerable: tuple[str, ...] = ()
    """One line for each vulnerability."""
    unchecked: str = ""
    """Why not all were looked up; empty: all were."""


def read_report(output: str, errors: str) -> Result:
    """What pip-audit found out, given what it printed as JSON and its error output."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["no output"]
        return Result(unchecked=f"its data cannot be reached: {last[0][:300]}")
    found = tuple(
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability.get('fix_versions') or ()) or 'no version yet'}"
        for package in packages
        for vulnerability in package.get("vulns") or ()
    )
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if not packages:
        return Result(found, "it looked at no package at all")
    if not skipped:
        return Result(found)
    names = ", ".join(skipped[:MOST_NAMES]) + f" and {len(skipped) - MOST_NAMES} more" * (len(skipped) > MOST_NAMES)
    return Result(found, f"its data knows {len(packages) - len(skipped)} of {len(packages)} packages, not {names}")


def audit(lock: Path) -> Result:
    """Run pip-audit on a lock with hashes; without network that ends within a minute."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    command += ["--format=json", "--progress-spinner=off", f"--timeout={REQUEST_SECONDS}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Result(unchecked=f"its data did not come within {PATIENCE_SECONDS} s")
    return read_report(done.stdout, done.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is known: 1 for vulnerabilities, with `--strict` also for packages that were not checked."""
    parser = argparse.ArgumentParser(prog="supply.audit", description=__doc__)
    parser.add_argument("lock", type=Path, help="a requirements file with hashes")
    parser.add_argument("--strict", action="store_true", help="fail when a package could not be checked")
    options = parser.parse_args(arguments)
    result = audit(options.lock)
    for line in result.vulnerable:
        print(f"vulnerable: {line}")
    if result.unchecked:
        print(f"pip-audit: NOT CHECKED for known vulnerabilities: {result.unchecked}")
    elif not result.vulnerable:
        print(f"pip-audit: no known vulnerabilities in {options.lock}")
    return int(bool(result.vulnerable) or (options.strict and bool(result.unchecked)))


if __name__ == "__main__":
    sys.exit(main())
