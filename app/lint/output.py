"""A result as text for people and as JSON for programs. SARIF is in `app.lint.sarif`."""

from __future__ import annotations

import json

from app.engine.text import single_line
from app.lint.result import Issue, Notification, Result, Unchecked
from app.rules.catalogue import Severity

MOST_LISTED = 5
"""Examples that the text form gives for a question that stays open."""


def as_text(result: Result) -> str:
    """One line a finding, as `file:line:column: error P7 spec.stages[1].dependsOn[0]: ...`, then what stays open."""
    lines = [single_line(f"{note.position}: unusable: {note.text}") for note in result.unusable]
    lines += [single_line(_issue_line(issue)) for issue in result.issues]
    lines += [single_line(f"{note.position}: note: {note.text}") for note in result.skipped]
    if result.unchecked:
        lines.append("not checked, because it takes a cluster:")
        lines += [single_line(f"- {_listed(each)}").replace("- ", "  - ", 1) for each in result.unchecked]
    lines.append(_summary(result))
    return "\n".join(lines) + "\n"


def _issue_line(issue: Issue) -> str:
    path = f" {issue.path}" if issue.path else ""
    return f"{issue.position}: {issue.severity} {issue.rule}{path}: {issue.message}"


def _listed(each: Unchecked) -> str:
    more = len(each.about) - MOST_LISTED
    return f"{each.what}: {', '.join(each.about[:MOST_LISTED])}" + (f" and {more} more" if more > 0 else "")


def _summary(result: Result) -> str:
    errors, warnings = result.count(Severity.ERROR), result.count(Severity.WARNING)
    text = (
        f"{_number(result.objects, 'object')} in {_number(result.files, 'file')}: "
        f"{_number(errors, 'error')}, {_number(warnings, 'warning')}"
    )
    return f"{text}; {_number(len(result.unusable), 'input')} could not be read" if result.unusable else text


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def as_json(result: Result) -> str:
    """Everything as one JSON object; `version` counts incompatible changes of its form."""
    document = {
        "version": 1,
        "files": result.files,
        "objects": result.objects,
        "errors": result.count(Severity.ERROR),
        "warnings": result.count(Severity.WARNING),
        "findings": [
            {
                "file": issue.position.file,
                "line": issue.position.line,
                "column": issue.position.column,
                "severity": issue.severity,
                "rule": issue.rule,
                "object": issue.target,
                "path": issue.path,
                "message": issue.message,
            }
            for issue in result.issues
        ],
        "unusable": [_note(note) for note in result.unusable],
        "skipped": [_note(note) for note in result.skipped],
        "notChecked": [{"what": each.what, "about": list(each.about)} for each in result.unchecked],
    }
    return json.dumps(document, indent=2) + "\n"


def _note(note: Notification) -> dict[str, object]:
    position = note.position
    return {"file": position.file, "line": position.line, "column": position.column, "text": note.text}
