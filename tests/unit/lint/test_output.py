"""The three forms of a result."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.lint.output import as_json, as_text
from app.lint.result import Issue, Notification, Position, Result, Unchecked
from app.lint.sarif import as_sarif
from app.rules.catalogue import CATALOGUE, Severity
from tests.unit.lint.support import lint_text
from tests.unit.rules import cases_files

SCHEMA = Path(__file__).parent / "data" / "sarif-schema-2.1.0.json"
RESULT = Result(
    issues=(
        Issue(
            Position("plans/a b.yaml", 12, 5), Severity.ERROR, "P7", "DRPlan default/p", "spec.stages[1]", "no\nline"
        ),
        Issue(Position("<stdin>", 1, 1), Severity.WARNING, "S6", "DRPlan default/p", "", "twice"),
    ),
    skipped=(Notification(Position("x.yaml", 3, 1), "skipped: Pod x"),),
    unusable=(Notification(Position("/tmp/y.yaml"), "cannot be read"),),
    unchecked=(Unchecked("whether these exist", tuple(f"default/w{n}" for n in range(7))),),
    files=2,
    objects=1,
)


@cache
def sarif() -> Any:
    """The validator of the standard."""
    from jsonschema import Draft7Validator  # builds grammars for two seconds when it is imported

    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_text_is_one_line_a_finding() -> None:
    assert as_text(RESULT) == (
        "/tmp/y.yaml:1:1: unusable: cannot be read\n"
        "plans/a b.yaml:12:5: error P7 spec.stages[1]: no line\n"
        "<stdin>:1:1: warning S6: twice\n"
        "x.yaml:3:1: note: skipped: Pod x\n"
        "not checked, because it takes a cluster:\n"
        "  - whether these exist: default/w0, default/w1, default/w2, default/w3, default/w4 and 2 more\n"
        "1 object in 2 files: 1 error, 1 warning; 1 input could not be read\n"
    )


def test_text_of_nothing_is_a_summary() -> None:
    assert as_text(Result()) == "0 objects in 0 files: 0 errors, 0 warnings\n"


def test_json_has_everything() -> None:
    document = json.loads(as_json(RESULT))
    assert document["version"] == 1
    assert (document["files"], document["objects"], document["errors"], document["warnings"]) == (2, 1, 1, 1)
    assert document["findings"][0] == {
        "file": "plans/a b.yaml",
        "line": 12,
        "column": 5,
        "severity": "error",
        "rule": "P7",
        "object": "DRPlan default/p",
        "path": "spec.stages[1]",
        "message": "no\nline",
    }
    assert document["unusable"] == [{"file": "/tmp/y.yaml", "line": 1, "column": 1, "text": "cannot be read"}]
    assert document["skipped"][0]["line"] == 3
    assert len(document["notChecked"][0]["about"]) == 7


def test_sarif_has_what_the_standard_demands() -> None:
    document = json.loads(as_sarif(RESULT))
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "drplan"
    assert [rule["id"] for rule in driver["rules"]] == [rule.id for rule in CATALOGUE]
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    first, second = run["results"]
    assert first["ruleId"] == "P7" == driver["rules"][first["ruleIndex"]]["id"]
    assert (first["level"], second["level"]) == ("error", "warning")
    assert first["message"] == {"text": "spec.stages[1]: no\nline"}
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "plans/a%20b.yaml"},
        "region": {"startLine": 12, "startColumn": 5},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "DRPlan default/p spec.stages[1]"}]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    levels = [note["level"] for note in invocation["toolExecutionNotifications"]]
    assert levels == ["error", "note", "note"]
    assert uris(run) == {"plans/a%20b.yaml", "stdin", "x.yaml", "file:///tmp/y.yaml"}


def uris(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {node["uri"]} if "uri" in node else set().union(*map(uris, node.values()))
    return set().union(*map(uris, node)) if isinstance(node, list) else set()


def test_sarif_of_a_clean_run_is_a_success_without_results() -> None:
    (run,) = json.loads(as_sarif(Result(files=1)))["runs"]
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize("result", [Result(), Result(files=1), RESULT], ids=["nothing", "clean", "findings"])
def test_sarif_obeys_the_schema_of_the_standard(result: Result) -> None:
    sarif().validate(json.loads(as_sarif(result)))


def test_sarif_of_real_files_obeys_the_schema_of_the_standard() -> None:
    text = "---\n".join(case.bad for case in cases_files.CASES if isinstance(case.bad, str))
    result = lint_text(text)
    assert len(result.issues) > 5
    sarif().validate(json.loads(as_sarif(result)))


def test_the_schema_is_strict() -> None:
    document = json.loads(as_sarif(RESULT))
    document["runs"][0]["results"][0]["levle"] = "error"
    assert not sarif().is_valid(document)


@pytest.mark.parametrize(
    ("severities", "unusable", "code"),
    [((), False, 0), (("warning",), False, 0), (("warning", "error"), False, 1), (("error",), True, 2), ((), True, 2)],
)
def test_exit_codes(severities: tuple[str, ...], unusable: bool, code: int) -> None:
    issues = [Issue(Position("f"), Severity(severity), "W1", "", "", "") for severity in severities]
    notes = [Notification(Position(str(Path("g"))), "x")] if unusable else []
    assert Result(issues=issues, unusable=notes).exit_code == code
