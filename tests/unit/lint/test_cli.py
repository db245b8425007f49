"""`drplan lint` on the command line: output, exit codes, and what it does not load."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from drplan.main import main
from tests.unit.rules.builders import CONFIG_MAP, http, plan_json, resource, stage, workflow_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
GOOD = yaml.safe_dump_all([workflow_json(), plan_json()])
WARNED = yaml.safe_dump(workflow_json(resource(CONFIG_MAP)))
BAD = yaml.safe_dump(plan_json(stage("s"), stage("s")), sort_keys=False)


def in_process(arguments: Sequence[str], text: str) -> tuple[int, str, str]:
    """Exit code and outputs of the command, without a process of its own, which takes a second to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()))),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            code = main(["lint", *arguments])
        except SystemExit as end:
            code = int(str(end.code))
    shown = []
    for stream in (out, err):
        stream.seek(0)
        shown.append(stream.read())
    return code, shown[0], shown[1]


def as_process(arguments: Sequence[str], text: str) -> tuple[int, str, str]:
    """The same of `drplan lint` as it is called."""
    done = subprocess.run(
        [sys.executable, "-m", "drplan", "lint", *arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def drplan_lint(*arguments: str, text: str = "", code: int = 0) -> str:
    found, out, err = in_process(arguments, text)
    assert found == code, out + err
    return out if code != 2 else out + err


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [(["-"], GOOD, 0), (["--strict", "-"], WARNED, 1), (["-"], "a: [", 2), (["--ignore", "Q7", "-"], "", 2)],
    ids=["fine", "errors", "unusable", "usage"],
)
def test_the_process_ends_and_says_as_the_command_does(arguments: list[str], text: str, code: int) -> None:
    found, out, err = as_process(arguments, text)
    assert (found, out) == (code, in_process(arguments, text)[1])
    assert "Traceback" not in err


def test_standard_input_that_is_fine() -> None:
    assert drplan_lint("-", text=GOOD).splitlines()[-1] == "2 objects in 1 file: 0 errors, 0 warnings"


def test_errors_end_with_1(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(BAD, encoding="utf-8")
    first = drplan_lint(str(file), code=1).splitlines()[0]
    assert first == f"{file}:13:5: error P2 spec.stages[1].name: stage[1]: duplicate stage name 's'"
    (run,) = json.loads(drplan_lint("--format", "sarif", str(file), code=1))["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 13, "startColumn": 5}
    assert json.loads(drplan_lint("--format=json", str(file), code=1))["errors"] == 1


def test_strict_and_ignored_rules() -> None:
    assert "warning N1" in drplan_lint("-", text=WARNED)
    assert "error N1" in drplan_lint("--strict", "-", text=WARNED, code=1)
    assert "N1" not in drplan_lint("--strict", "--ignore", "N1", "-", text=WARNED)


def test_unusable_input_and_wrong_usage_end_with_2(tmp_path: Path) -> None:
    assert "nothing.yaml:1:1: unusable: cannot be read" in drplan_lint(str(tmp_path / "nothing.yaml"), code=2)
    assert "<stdin>:2:1: unusable: not YAML" in drplan_lint("-", text="a: [", code=2)
    assert "there is no rule Q7" in drplan_lint("--ignore", "Q7", "-", code=2)
    assert "required: FILE" in drplan_lint(code=2)


def test_names_of_files_may_be_any_bytes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"p\xff.yaml")).write_text(BAD, encoding="utf-8")
    assert "/p .yaml:13:5: error P2" in drplan_lint(str(tmp_path), code=1)
    assert "p%FF.yaml" in drplan_lint("--format", "sarif", str(tmp_path), code=1)


def test_deep_nesting_does_not_end_the_process() -> None:
    manifest = yaml.safe_dump(workflow_json(http(), resource("[" * 100_000, name="r")))
    assert "W27" in drplan_lint("-", text=manifest, code=1)
    assert "nested deeper than 100 levels" in drplan_lint("-", text="[" * 100_000, code=2)


def test_nothing_is_loaded_that_only_a_cluster_needs() -> None:
    script = (
        "import sys\nfrom drplan.main import main\n"
        "assert main(['lint', '-']) == 0\n"
        "print(*{'aiohttp', 'kubernetes_asyncio', 'fastapi', 'uvicorn', 'cryptography', 'httpx'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=GOOD, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == ""
