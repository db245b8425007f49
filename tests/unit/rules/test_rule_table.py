"""The rule table: each rule of the catalogue with an object it complains about, the whole message, one that passes."""

from __future__ import annotations

from collections import defaultdict

import pytest

from app.rules.catalogue import RULES, Severity
from tests.unit.rules import cases_access, cases_executions, cases_files, cases_plans, cases_workflows
from tests.unit.rules.rule_table import Case, judged

TABLE = [*cases_workflows.CASES, *cases_plans.CASES, *cases_executions.CASES, *cases_access.CASES, *cases_files.CASES]
OTHER_EXAMPLES = {"S6"}
"""Rules whose examples name what this table does not have: a file."""
IDS = [f"{case.rule}-{number}" for number, case in enumerate(TABLE)]


def _shown(case: Case) -> str:
    """A warning as users see it: admission ends it with the id of its rule, lint has that in a column of its own."""
    return case.message if case.rule.startswith("S") else f"{case.message} ({case.rule})"


@pytest.mark.parametrize("case", TABLE, ids=IDS)
async def test_the_rule_complains_in_these_words(case: Case) -> None:
    found = await judged(case.bad)
    if RULES[case.rule].severity is Severity.ERROR:
        assert (case.rule, case.message) in found.errors
    else:
        assert _shown(case) in found.warnings


@pytest.mark.parametrize("case", TABLE, ids=IDS)
async def test_what_obeys_the_rule_passes(case: Case) -> None:
    found = await judged(case.good)
    assert found.errors == []
    assert _shown(case) not in found.warnings


def test_every_rule_of_the_catalogue_is_in_the_table_with_its_example() -> None:
    told = defaultdict(set)
    for case in TABLE:
        told[case.rule].add(case.message)
    assert sorted(RULES.keys() ^ told.keys()) == []
    assert {id_ for id_, rule in RULES.items() if rule.example not in told[id_]} == OTHER_EXAMPLES
