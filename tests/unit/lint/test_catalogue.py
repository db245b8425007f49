"""The catalogue lists what is raised, no more and no less, with examples that are true."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.rules.catalogue import CATALOGUE, RULES, Checked, Severity
from generate.rules import ROOT, main, modules_of_rules, rules_page
from tests.unit.rules import test_execution_rules, test_findings, test_plan_rules, test_workflow_rules


def ids_in(folder: str) -> set[str]:
    """The rules that the modules of a folder decide."""
    modules = modules_of_rules().items()
    return {each for module, ids in modules if module.startswith(f"{folder}/") for each in ids}


def test_every_id_that_is_raised_is_in_the_catalogue_and_vice_versa() -> None:
    raised = ids_in("app/rules") | ids_in("webhook") | ids_in("app/lint")
    assert sorted(raised - RULES.keys()) == []
    assert sorted(RULES.keys() - raised) == []


def test_no_rule_of_files_is_raised_by_the_webhook_and_no_id_is_given_twice() -> None:
    of_files = {rule.id for rule in CATALOGUE if rule.checked is Checked.FILES}
    assert not of_files & (ids_in("webhook") | ids_in("app/rules"))
    assert len(RULES) == len(CATALOGUE)


def test_warnings_are_those_that_say_so() -> None:
    warnings = {rule.id for rule in CATALOGUE if rule.severity is Severity.WARNING}
    assert warnings == {id_ for id_ in RULES if id_.startswith("N")} | {"S2", "S3", "S6", "S7"}


def tables(module: ModuleType) -> Iterator[dict[str, Any]]:
    """The cases of the data-driven tests of a module that have a rule and its message."""
    for test in vars(module).values():
        for mark in getattr(test, "pytestmark", []):
            names = mark.args[0] if mark.name == "parametrize" else ()
            if "rule" in names and "message" in names:
                yield from (dict(zip(names, case, strict=True)) for case in mark.args[1])


def test_examples_are_what_the_rules_say() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for module in (test_workflow_rules, test_plan_rules, test_execution_rules, test_findings):
        for case in tables(module):
            said[case["rule"]].add(case["message"])
    assert len(said) > 60
    assert {id_: RULES[id_].example for id_ in said if RULES[id_].example not in said[id_]} == {}


def test_the_page_has_every_rule_once_and_is_up_to_date() -> None:
    page = rules_page()
    assert sorted(re.findall(r"^\| ([A-Z]+[0-9]+) \|", page, re.MULTILINE)) == sorted(RULES)
    assert (ROOT / "docs/rules.md").read_text(encoding="utf-8") == page


def test_the_command_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "docs" / "rules.md"
    assert main(["--check", str(page)]) == 1
    assert "run `make docs`" in capsys.readouterr().err
    assert main(["--write", str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    page.write_text(page.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    assert main(["--check", str(page)]) == 1
