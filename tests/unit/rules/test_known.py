"""Remembered actions: a workflow whose actions are known is told the same as one whose actions are not."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.workflow import DRWorkflow
from app.rules import findings
from app.rules.actions import known, manifest_rule
from app.rules.actions.known import decode_workflow, places_of
from app.rules.decode import UndecodableError
from app.rules.findings import Findings, Report
from app.rules.workflow import check_workflow
from tests.unit.rules import cases_workflows
from tests.unit.rules.builders import CONFIG_MAP, FEED, http, job, resource, typed, workflow_json
from tests.unit.rules.rule_table import Review

Json = dict[str, Any]
Outcome = Report | tuple[Any, ...]

TABLE = [
    review.new
    for case in cases_workflows.CASES
    for review in (case.bad, case.good)
    if isinstance(review, Review) and review.new is not None
]


ACTIONS = [
    action
    for data in TABLE
    for action in (data.get("spec") or {}).get("actions") or []
    if isinstance(action, dict) and len(orjson.dumps(action)) < 20_000
]
NAMED = [{**action, "name": name} for action in ACTIONS for name in ("a", "b")]
WORKFLOWS = st.lists(st.sampled_from([*ACTIONS, *NAMED]), min_size=1, max_size=5).map(
    lambda actions: workflow_json(*actions)
)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    known._place.cache_clear()
    yield
    known._place.cache_clear()


def judged(data: Json, *, remembering: bool = True) -> Outcome:
    """What is found in a workflow, or what keeps it from being decoded."""
    places = places_of(data) if remembering else []
    try:
        workflow = decode_workflow(data, places)
    except UndecodableError as error:
        return error.problems
    return workflow if isinstance(workflow, Report) else check_workflow(workflow, places)


def _mistakes(count: int) -> str:
    """A text that draws so many warnings."""
    return " ".join(f"$(params.{number})" for number in range(count))


def _nested(depth: int, text: str) -> Json:
    """A text so deep in an object that its path is long."""
    return {"k" * 30: text if depth == 1 else _nested(depth - 1, text)}


def remembered(data: Json) -> list[bool]:
    """Which actions of a workflow are known."""
    return [bool(place and place.action) for place in places_of(data)]


@pytest.mark.parametrize("data", TABLE, ids=range(len(TABLE)))
def test_a_known_workflow_is_told_what_a_new_one_is(data: Json) -> None:
    expected = judged(data, remembering=False)
    assert [judged(data) for _ in range(3)] == [expected] * 3


def test_all_of_the_table_after_each_other_is_told_the_same() -> None:
    expected = [judged(data, remembering=False) for data in TABLE]
    assert [judged(data) for data in TABLE] == expected
    assert [judged(data) for data in reversed(TABLE)] == expected[::-1]


@given(st.lists(WORKFLOWS, min_size=2, max_size=4))
def test_whatever_came_before_a_workflow_is_told_the_same(series: list[Json]) -> None:
    known._place.cache_clear()
    again = [*series, *series]
    assert [judged(data) for data in again] == [judged(data, remembering=False) for data in again]


@given(st.lists(WORKFLOWS, min_size=2, max_size=4))
def test_so_it_is_where_limits_are_reached(series: list[Json]) -> None:
    known._place.cache_clear()
    with (
        patch.object(known, "MOST_VALUES", 12),
        patch.object(manifest_rule, "MOST_VALUES", 12),
        patch.object(known, "MOST_FINDINGS", 3),
        patch.object(findings, "MOST_FINDINGS", 3),
        patch.object(findings, "MOST_STOPPERS", 5),
        patch.object(findings, "MOST_SUGGESTIONS", 1),
    ):
        again = [*series, *series]
        assert [judged(data) for data in again] == [judged(data, remembering=False) for data in again]


def test_every_count_of_what_is_found_is_known_to_the_memory() -> None:
    """A count that is new in Findings must be one of `shared_counts`, or be repeated by `repeat`."""
    counts = {field.name for field in dataclasses.fields(Findings)} - {
        "errors",
        "notices",
        "manifest_values",
        "own_namespace",
    }
    numbers = Findings(**{name: number for number, name in enumerate(sorted(counts), 1)})
    assert sorted(numbers.shared_counts) == list(range(1, len(counts) + 1))


def test_a_known_action_is_neither_decoded_nor_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = workflow_json(http("a"), job("b"))
    judged(data)
    first, second = (decode_workflow(data, places_of(data)) for _ in range(2))
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
        (http("a", http={"url": "http://x.invalid/", "body": "$(parms.x)"}), False),
        (http("a", http={"url": "http://x.invalid/", "body": _mistakes(known.MOST_NOTICES)}), True),
        (http("a", http={"url": "http://x.invalid/", "body": _mistakes(known.MOST_NOTICES + 1)}), False),
        (job("a", job={"template": {"spec": _nested(12, _mistakes(5))}}), False),
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


def test_a_member_that_cannot_be_decoded_is_told_beside_places_of() -> None:
    judged(workflow_json(http("a")))
    wrong = workflow_json(http("a"), http("b", timeout=5))
    assert judged(wrong) == judged(wrong, remembering=False)


def test_what_is_remembered_is_bounded() -> None:
    for n in range(known.ENTRIES + 10):
        places_of(workflow_json(http(f"a{n}")))
    assert known._place.cache_info().currsize == known.ENTRIES


def test_what_is_remembered_takes_bounded_memory() -> None:
    subscribers: list[dict[str, Any]] = [{"clusterAffinity": {}}] * 40
    members = {"n": 1, "template": {"spec": {"a": [{}] * 50, "b": [""] * 12}}}
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100):
            spec = {"feeds": [FEED], "subscribers": subscribers}
            block = {"name": "s", "namespace": "n", "spec": spec}
            judged(
                orjson.loads(orjson.dumps(workflow_json(typed("Subscription", "subscription", block, f"s{number}"))))
            )
            judged(orjson.loads(orjson.dumps(workflow_json({**job(f"j{number}"), "job": members}))))
        assert known._place.cache_info().currsize == 200
        each = (tracemalloc.get_traced_memory()[0] - before) / 200
    finally:
        tracemalloc.stop()
    assert each * known.ENTRIES < 64e6


def test_a_workflow_of_very_many_actions_is_not_compared_with_what_is_known() -> None:
    assert not places_of(workflow_json(*(http(f"a{n}") for n in range(known.ENTRIES + 1))))


@pytest.mark.parametrize("actions", [None, "x", {}, [None], ["x"], [{"a": "\ud800"}]])
def test_what_is_no_list_of_actions_has_no_places(actions: object) -> None:
    assert not any(places_of({"spec": {"actions": actions}}))
