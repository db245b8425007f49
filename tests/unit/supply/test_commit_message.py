"""The form of commit messages, as the hook of pre-commit checks it; and that its hooks fetch nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from supply.commit_message import SCISSORS, problems
from tests.support.cluster import REPOSITORY

LONG = "x" * 73


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Say what\n\nSay why.\n", []),
        ("Say what\n\nSay why.\n# Please enter\n", []),
        (f"Say what\n\nSay why.\n{SCISSORS}\n+ diff\n", []),
        ("Merge branch 'x'\n", []),
        ("fixup! Say what\n", []),
        ("x" * 72 + "\n\nwhy\n", []),
        (f"{LONG}\n\nwhy\n", ["73 characters"]),
        ("Say what\n", ["no body"]),
        ("Say what\n\n\n# comment\n", ["no body"]),
        ("Say what\nSay why.\n", ["empty line is missing", "no body"]),
        ("", ["is empty", "no body"]),
        ("\n\nSay why.\n", ["is empty"]),
    ],
)
def test_messages(message: str, told: list[str]) -> None:
    found = problems(message)
    assert len(found) == len(told)
    assert all(text in problem for text, problem in zip(told, found, strict=True))


def test_the_command_tells_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_text("Say what\n")
    command = [sys.executable, "-m", "supply.commit_message", str(file)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "commit message: there is no body: say why, behind an empty line\n")


def test_hooks_are_local_and_their_programs_there() -> None:
    repos = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in repos] == ["local"]
    hooks = repos[0]["hooks"]
    assert len(hooks) >= 4
    assert {hook["language"] for hook in hooks} == {"system"}
    for hook in hooks:
        program, *words = hook["entry"].split()
        assert re.fullmatch(r"\.venv/bin/[a-z-]+", program)
        assert (Path(sys.executable).parent / Path(program).name).exists()
        assert all((REPOSITORY / word).exists() for word in words if word.startswith("tests/"))
