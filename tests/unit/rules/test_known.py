"""Remembered actions: a workflow whose actions are known is told the same as one whose actions are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.models.workflow import DRWorkflow
from app.rules import known, manifest_rule
from app.rules.decode import UndecodableError
from app.rules.findings import Report
from app.rules.known import decode_workflow, known_actions
from app.rules.workflow import check_workflow
from tests.unit.rules import cases_workflows
from tests.unit.rules.builders import CONFIG_MAP, http, job, resource, workflow_json
from tests.unit.rules.rule_table import Review

Json = dict[str, Any]
Outcome = Report | tuple[Any, ...]

TABLE = [
    review.new
    for case in cases_workflows.CASES
    for review in (case.bad, case.good)
    if isinstance(review, Review) and review.new is not None
]


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    known._place.cache_clear()
    yield
    known._place.cache_clear()


def judged(data: Json, *, remembering: bool = True) -> Outcome:
    """What is found in a workflow, or what keeps it from being decoded."""
    places = known_actions(data) if remembering else []
    try:
        workflow = decode_workflow(data, places)
    except UndecodableError as error:
        return error.problems
    return workflow if isinstance(workflow, Report) else check_workflow(workflow, places)


def remembered(data: Json) -> list[bool]:
    """Which actions of a workflow are known."""
    return [bool(place and place.action) for place in known_actions(data)]


@pytest.mark.parametrize("data", TABLE, ids=range(len(TABLE)))
def test_a_known_workflow_is_told_what_a_new_one_is(data: Json) -> None:
    expected = judged(data, remembering=False)
    assert [judged(data) for _ in range(3)] == [expected] * 3


def test_all_of_the_table_after_each_other_is_told_the_same() -> None:
    expected = [judged(data, remembering=False) for data in TABLE]
    assert [judged(data) for data in TABLE] == expected
    assert [judged(data) for data in reversed(TABLE)] == expected[::-1]


def test_a_known_action_is_neither_decoded_nor_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = workflow_json(http("a"), job("b"))
    judged(data)
    first, second = (decode_workflow(data, known_actions(data)) for _ in range(2))
    assert isinstance(first, DRWorkflow)
    assert isinstance(second, DRWorkflow)
    assert all(one is other for one, other in zip(first.spec.actions, second.spec.actions, strict=True))
    monkeypatch.setattr("app.rules.workflow.check_action", lambda *_: pytest.fail("looked at again"))
    judged(data)


def test_warnings_of_a_known_action_tell_where_it_stands_now() -> None:
    judged(workflow_json(job("old")))
    moved = workflow_json(http("new"), job("old"))
    found = judged(moved)
    assert isinstance(found, Report)
    assert found == judged(moved, remembering=False)
    assert found.warnings[0].startswith("action[1] 'old': ")
    assert found.notices[0].path.startswith("spec.actions[1]")


@pytest.mark.parametrize(
    ("action", "kept"),
    [
        (http("a"), True),
        (http("a", when='mode == "install"'), True),
        (http("a", when="size(params.x) > 1"), False),
        (http("a", http={"url": "http://x.invalid/$(outputs.b.body)"}), False),
        (http("a", http={"url": ""}), False),
        (http("a", http={"url": "http://x.invalid/", "body": "x" * known.LONGEST}), False),
        (http("a", http={"url": "http://x.invalid/", "successCodes": [200] * known.MOST_MEMBERS}), False),
    ],
)
def test_only_what_is_good_by_itself_and_small_is_remembered(action: Json, kept: bool) -> None:
    data = workflow_json(http("b"), action)
    judged(data)
    assert remembered(data) == [True, kept]


def test_known_manifests_count_against_the_values_of_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    many = workflow_json(*(resource(CONFIG_MAP.replace("c\n", f"c{n}\n"), name=f"r{n}") for n in range(4)))
    judged(many)
    assert all(remembered(many))
    for module in (known, manifest_rule):
        monkeypatch.setattr(module, "MOST_VALUES", 20)
    found = judged(many)
    assert isinstance(found, Report)
    assert [finding.rule for finding in found.errors] == ["W27", "W27"]


def test_a_member_that_cannot_be_decoded_is_told_beside_known_actions() -> None:
    judged(workflow_json(http("a")))
    wrong = workflow_json(http("a"), http("b", timeout=5))
    assert judged(wrong) == judged(wrong, remembering=False)


def test_what_is_remembered_is_bounded() -> None:
    for n in range(known.ENTRIES + 10):
        known_actions(workflow_json(http(f"a{n}")))
    assert known._place.cache_info().currsize == known.ENTRIES


@pytest.mark.parametrize("actions", [None, "x", {}, [None], ["x"], [{"a": "\ud800"}]])
def test_what_is_no_list_of_actions_has_no_places(actions: object) -> None:
    assert not any(known_actions({"spec": {"actions": actions}}))
