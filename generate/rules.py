"""``python -m generate.rules --write docs/rules.md``: the rule catalogue as a page, or the check of that page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

from app.rules.catalogue import CATALOGUE, Rule, Severity
from generate.files import page_command

_INTRODUCTION: Final = """\
# Rules

Generated from `app/rules/catalogue` by `make docs`; do not edit.

Ids are stable. They stand in brackets at the end of a refusal or warning, `validation failed: [...] (W3, W25)`, in the
log line of a refusal, and in the output of `drplan lint` ([linting.md](linting.md)). Refusals of deletions and of
changes to an execution's spec (DW1, DP1, DP2, E30) stand alone, in these words.
Errors refuse an object; on an update only those refuse it that the stored object did not have. Warnings refuse nothing.
"Where" says who can check a rule: *admission* needs the state of the cluster, *lint* is about files or about what the
API server itself refuses before admission.
"""

_SECTIONS: Final[tuple[tuple[str, Callable[[Rule], bool]], ...]] = (
    ("Workflows", lambda rule: rule.kind == "DRWorkflow" and rule.severity is Severity.ERROR),
    ("Plans", lambda rule: rule.kind == "DRPlan" and rule.severity is Severity.ERROR),
    (
        "Executions",
        lambda rule: rule.kind == "DRPlanExecution" and rule.severity is Severity.ERROR and not _is_access(rule),
    ),
    ("What is read for an object", lambda rule: _is_access(rule)),
    ("Warnings", lambda rule: rule.id.startswith("N")),
    ("Schema and files", lambda rule: rule.id.startswith("S")),
)


def _is_access(rule: Rule) -> bool:
    return rule.id.startswith("A")


def rules_page() -> str:
    """The text of docs/rules.md."""
    parts = [_INTRODUCTION]
    for title, belongs in _SECTIONS:
        rules = [rule for rule in CATALOGUE if belongs(rule)]
        several = len({(rule.kind, rule.severity) for rule in rules}) > 1
        parts.append(f"## {title}\n\n{_table(rules, several=several)}")
    return "\n".join(parts)


def _table(rules: Sequence[Rule], *, several: bool) -> str:
    """A table of rules; with kind and severity when they differ."""
    head = ["Id", *(["Kind", "Severity"] if several else []), "What is checked", "Where", "Example"]
    lines = [_row(head), _row(["---"] * len(head))]
    for rule in rules:
        middle = [rule.kind, rule.severity.value] if several else []
        lines.append(_row([rule.id, *middle, rule.checks, rule.checked.value, _code(rule.example)]))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    """The text as code, whatever backticks it has."""
    fence = "``" if "`" in text else "`"
    pad = " " if fence == "``" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the page is written or up to date, 1 when `--check` found it different."""
    return page_command("generate.rules", rules_page, arguments)


if __name__ == "__main__":
    sys.exit(main())
