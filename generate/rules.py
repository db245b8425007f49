"""``python -m generate.rules --write docs/rules.md``: the rule catalogue as a page, or the check of that page."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from app.rules.catalogue import CATALOGUE, Rule, Severity
from generate.files import page_command

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("app/rules", "app/lint", "webhook")
"""Where rules are decided."""
ID: Final = re.compile(r"(?:[AWPEURNS]|DW|DP)[0-9]+")

_INTRODUCTION: Final = """\
# Rules

Generated from `app/rules/catalogue` by `make docs`; do not edit.

Ids are stable. They stand in brackets at the end of a refusal or warning,
`validation failed: [...] (W3, W25)`, in the log line of a refusal, and in the output of
`drplan lint` ([linting.md](linting.md)). Refusals of deletions and of changes to an execution's
spec (DW1, DP1, DP2, E30) stand alone, in these words. Errors refuse an object; on an update only
those refuse it that the stored object did not have. Warnings refuse nothing. "Where" says who can
check a rule: *admission* needs the state of the cluster, *lint* is about files or about what the
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
    """Return the text of docs/rules.md."""
    parts = [_INTRODUCTION]
    for title, belongs in _SECTIONS:
        rules = [rule for rule in CATALOGUE if belongs(rule)]
        several = len({(rule.kind, rule.severity) for rule in rules}) > 1
        parts.append(f"## {title}\n\n{_table(rules, several=several)}")
    parts.append(f"## In the code\n\nFor maintainers: the modules that decide.\n\n{_modules_table()}")
    return "\n".join(parts)


def ids_in(path: Path) -> set[str]:
    """Return the ids of rules among the texts of a module: the rules that it decides."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if ID.fullmatch(text)}


def modules_of_rules() -> dict[str, set[str]]:
    """Return the ids of the rules that each module decides, by its path."""
    paths = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    found = {str(path.relative_to(ROOT)): ids_in(path) for path in paths if "catalogue" not in path.parts}
    return {module: ids for module, ids in found.items() if ids}


def _modules_table() -> str:
    order = {rule.id: number for number, rule in enumerate(CATALOGUE)}
    lines = [_row(["Module", "Rules"]), _row(["---", "---"])]
    for module, ids in modules_of_rules().items():
        lines.append(_row([f"`{module}`", ", ".join(sorted(ids, key=lambda each: order.get(each, -1)))]))
    return "\n".join(lines) + "\n"


def _table(rules: Sequence[Rule], *, several: bool) -> str:
    """Return a table of rules; with kind and severity when they differ."""
    head = ["Id", *(["Kind", "Severity"] if several else []), "What is checked", "Where", "Example"]
    lines = [_row(head), _row(["---"] * len(head))]
    for rule in rules:
        middle = [rule.kind, rule.severity.value] if several else []
        lines.append(_row([rule.id, *middle, rule.checks, rule.checked.value, _code(rule.example)]))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    """Return the text as code, whatever backticks it has."""
    fence = "``" if "`" in text else "`"
    pad = " " if fence == "``" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the page is written or up to date, 1 when `--check` found it different."""
    return page_command("generate.rules", rules_page, arguments)


if __name__ == "__main__":
    sys.exit(main())
