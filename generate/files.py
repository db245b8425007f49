"""Files made from the code: written, or compared with what is committed."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

SHOWN_LINES: Final = 40
"""Lines of each difference that a check prints."""


def write(files: Mapping[Path, str]) -> None:
    """Write the files, and make the folders they need."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def check(files: Mapping[Path, str], remedy: str) -> bool:
    """Print how the files differ from what they should say, and the command that mends it. True when none differs."""
    differences = [lines for path, text in files.items() if (lines := difference(path, text))]
    for lines in differences:
        more = [f"... and {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
        sys.stderr.write("\n".join([*lines[:SHOWN_LINES], *more]) + "\n")
    if differences:
        sys.stderr.write(f"generated files differ from what they are made from: run `{remedy}` and commit the result\n")
    return not differences


def difference(path: Path, expected: str) -> list[str]:
    """Return how the file differs from what it should say, as a unified diff; empty when it does not."""
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    return list(
        difflib.unified_diff(
            found.splitlines(), expected.splitlines(), f"{path} (found)", f"{path} (generated)", lineterm="", n=1
        )
    )


def page_command(module: str, page: Callable[[], str], arguments: Sequence[str] | None) -> int:
    """Run ``python -m MODULE`` of one page of docs/: ``--write FILE`` or ``--check FILE``.

    Returns:
        The exit code: 0 when the page is written or up to date, 1 when ``--check`` found it different.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Generate a page of the documentation.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    action.add_argument("--check", type=Path, metavar="FILE", help="exit 1 when the page differs")
    options = parser.parse_args(arguments)
    if options.check is not None:
        return 0 if check({options.check: page()}, "make docs") else 1
    write({options.write: page()})
    return 0
