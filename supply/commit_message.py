"""``python -m supply.commit_message FILE``: whether a commit's message has the form that CONTRIBUTING.md asks for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUBJECT = 72
"""Characters of a subject at most."""
MADE_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")
SCISSORS = "# ------------------------ >8 ------------------------"


def problems(message: str) -> list[str]:
    """Return what is wrong with a commit's message; comments of git's own are left out."""
    written = message.partition(SCISSORS)[0].splitlines()
    lines = [line.rstrip() for line in written if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if subject.startswith(MADE_BY_GIT):
        return []
    found = []
    if not subject:
        found.append("the first line is empty: it is the subject, and says what the commit does")
    if len(subject) > SUBJECT:
        found.append(f"the subject has {len(subject)} characters, {SUBJECT} are the most: say the rest in the body")
    if any(lines[1:2]):
        found.append("an empty line is missing between subject and body")
    if not any(lines[2:]):
        found.append("there is no body: say why, behind an empty line")
    return found


def main() -> int:
    """Check the message in a file, as git's hook commit-msg is called; return 1 if it has not the form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="file with the message")
    found = problems(parser.parse_args().file.read_text(encoding="utf-8"))
    for problem in found:
        print(f"commit message: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
