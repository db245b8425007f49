"""A result as SARIF 2.1.0, which code hosts and editors show beside the lines of a change."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from app.lint.inputs import STDIN_NAME
from app.lint.result import Issue, Notification, Position, Result
from app.rules.catalogue import CATALOGUE, Rule

VERSION: Final = "2.1.0"
SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_INDEX: Final = {rule.id: index for index, rule in enumerate(CATALOGUE)}

Json = dict[str, Any]


def as_sarif(result: Result) -> str:
    """The result as a SARIF log of one run. What could not be read or checked comes as notifications of the tool."""
    notifications = [
        *(_notification("error", note) for note in result.unusable),
        *(_notification("note", note) for note in result.skipped),
        *(
            {"level": "note", "message": {"text": f"not checked, {each.what}: {', '.join(each.about)}"}}
            for each in result.unchecked
        ),
    ]
    run: Json = {
        "tool": {"driver": {"name": "drplan", "version": version("drplan"), "rules": [_rule(r) for r in CATALOGUE]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": not result.unusable, "toolExecutionNotifications": notifications},
        ],
        "results": [_result(issue) for issue in result.issues],
    }
    return json.dumps({"version": VERSION, "$schema": SCHEMA, "runs": [run]}, indent=2) + "\n"


def _rule(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.checks},
        "help": {"text": f"{rule.kind}. Example: {rule.example}"},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(issue: Issue) -> Json:
    target = f"{issue.target} {issue.path}".strip()
    found: Json = {
        "ruleId": issue.rule,
        "ruleIndex": _INDEX[issue.rule],
        "level": issue.severity.value,
        "message": {"text": f"{issue.path}: {issue.message}" if issue.path else issue.message},
    }
    location: Json = {"physicalLocation": _place(issue.position)}
    if target:
        location["logicalLocations"] = [{"fullyQualifiedName": target}]
    return {**found, "locations": [location]}


def _notification(level: str, note: Notification) -> Json:
    return {
        "level": level,
        "message": {"text": note.text},
        "locations": [{"physicalLocation": _place(note.position)}],
    }


def _place(position: Position) -> Json:
    return {
        "artifactLocation": {"uri": _uri(position.file)},
        "region": {"startLine": position.line, "startColumn": position.column},
    }


def _uri(file: str) -> str:
    """A relative path as a relative reference, so that viewers find it in the checkout; an absolute one as file URI."""
    path = Path(file)
    if file == STDIN_NAME:
        return "stdin"
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
