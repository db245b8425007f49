"""`drplan lint` as a process: output, exit codes, and what it does not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.rules.builders import CONFIG_MAP, http, plan_json, resource, stage, workflow_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
GOOD = yaml.safe_dump_all([workflow_json(), plan_json()])
WARNED = yaml.safe_dump(workflow_json(resource(CONFIG_MAP)))
BAD = yaml.safe_dump(plan_json(stage("s"), stage("s")), sort_keys=False)


def drplan_lint(*arguments: str, text: str = "", code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "lint", *arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code != 2 else done.stdout + done.stderr


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
        "import sys\nfrom app.cli.main import main\n"
        "assert main(['lint', '-']) == 0\n"
        "print(*{'aiohttp', 'kubernetes_asyncio', 'fastapi', 'uvicorn', 'cryptography', 'httpx'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=GOOD, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == ""
