"""The schema check agrees with the CRDs, and says where and what."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest

from app.lint.schema import check_name, check_schema, pruned, schema_of
from tests.support.schemas import broken, sample, with_unknown_members
from tests.unit.lint.support import HEAD, found, lint_objects, lint_text, places, rules
from tests.unit.rules.builders import execution_json, http, job, plan_json, stage, workflow_json

pytestmark = pytest.mark.slow

KINDS = ("DRWorkflow", "DRPlan", "DRPlanExecution")


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_with_every_member_has_no_problem(kind: str) -> None:
    schema = schema_of(kind)
    full = sample({**schema, "properties": {"spec": schema["properties"]["spec"]}})
    problems = [problem for problem in check_schema(schema, full) if "rollback" not in problem.path]
    assert problems == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_break_the_schema_is_found_where_it_is(kind: str) -> None:
    spec = schema_of(kind)["properties"]["spec"]
    cases = 0
    for case in broken(spec, sample(spec), "spec", skip=("spec.actions[].job.template.spec",)):
        cases += 1
        problems = [problem for problem in check_schema(spec, case.document, "spec") if problem.rule == "S1"]
        assert case.field in {problem.path for problem in problems}, (case.path, case.rule)
    assert cases > 20


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_are_found_everywhere_and_pruned(kind: str) -> None:
    spec = schema_of(kind)["properties"]["spec"]
    value = sample(spec)
    more = with_unknown_members(spec, value)
    unknown = [problem for problem in check_schema(spec, more, "spec") if "unknown" in problem.path]
    assert {problem.rule for problem in unknown} == {"S2"}
    assert "spec.unknown" in {problem.path for problem in unknown}
    assert pruned(spec, more) == value


CASES: list[tuple[str, dict[str, Any], tuple[str, str, str]]] = [
    ("type", workflow_json(http(timeout=5)), ("S1", "spec.actions[0].timeout", 'must be text, found 5: write "5"')),
    ("boolean", plan_json(stage(parallel="yes")), ("S1", "spec.stages[0].parallel", "must be true or false, found 'yes'")),
    ("number as text", workflow_json(http(retryPolicy={"limit": "3"})), ("S1", "spec.actions[0].retryPolicy.limit", "must be a whole number, found '3'")),
    ("range of int32", workflow_json(http(retryPolicy={"limit": 2**31})), ("S1", "spec.actions[0].retryPolicy.limit", "must be at most 2147483647, found 2147483648")),
    ("minimum", plan_json(maxParallelStages=0), ("S1", "spec.maxParallelStages", "must be at least 1, found 0")),
    ("null", plan_json(description=None), ("S1", "spec.description", 'must be text, found null: write "", or leave it out')),
    ("enumeration", execution_json(operationType="execute"), ("S1", "spec.operationType", "must be one of \"Execute\", \"Revert\", found 'execute'; did you mean 'Execute'?")),
    ("required", workflow_json({"name": "a", "type": "HTTP", "http": {}}), ("S1", "spec.actions[0].http.url", "is required")),
    ("contract words", workflow_json(http(type="Htpp")), ("W19", "spec.actions[0].type", "action[0] 'a': unsupported action type 'Htpp'; did you mean 'HTTP'?")),
    ("contract words for nothing", {**plan_json(), "spec": {"stages": []}}, ("P1", "spec.stages", "at least one stage is required")),
    ("list", {**plan_json(), "spec": {"stages": {"name": "s"}}}, ("S1", "spec.stages", "must be a list, found an object")),
    ("job", workflow_json(job(job={"template": {"spec": {"parallelism": "2", "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}}}}}), failurePolicy="Continue"), ("S1", "spec.actions[0].job.template.spec.parallelism", "must be a whole number, found '2'")),
    ("label", {**plan_json(), "metadata": {"name": "p", "labels": {"tier": 1}}}, ("S1", "metadata.labels.tier", 'must be text, found 1: write "1"')),
    ("no name", {**plan_json(), "metadata": {}}, ("S5", "metadata.name", "name is required")),
    ("no metadata", {key: value for key, value in plan_json().items() if key != "metadata"}, ("S5", "metadata.name", "name is required")),
    ("no spec", {key: value for key, value in plan_json().items() if key != "spec"}, ("S1", "spec", "is required")),
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_the_api_server_refuses_is_an_error(data: dict[str, Any], expected: tuple[str, str, str]) -> None:
    result = lint_objects(data)
    assert [issue for issue in found(result) if issue[0] not in ("N1", "N6")] == [expected]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("metadata", "fine"),
    [
        ({"name": "a.b-c"}, True),
        ({"generateName": "run-"}, True),
        ({"name": "Site"}, False),
        ({"name": "a_b"}, False),
        ({"name": "-a"}, False),
        ({"name": "a" * 253}, True),
        ({"name": "a" * 254}, False),
        ("text", False),
    ],
)
def test_names(metadata: Any, fine: bool) -> None:
    assert (list(check_name(metadata)) == []) == fine


def test_what_defaulting_fills_in_may_be_null_and_is_not_complained_about() -> None:
    data = workflow_json(http(timeout=None, http={"url": "http://x/", "method": None}), failurePolicy=None)
    assert found(lint_objects(data)) == []


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert found(lint_objects(plan_json(maxParallelStages=2.0))) == []


def test_unknown_fields_warn_with_what_was_probably_meant_and_do_not_count() -> None:
    text = HEAD + (
        "kind: DRWorkflow\n"
        "metadata: {name: w, lables: {}}\n"
        "spec:\n"
        "  actions:\n"
        "  - name: a\n"
        "    type: HTTP\n"
        "    http: {url: 'http://x/'}\n"
        "  - name: b\n"
        "    type: HTTP\n"
        "    depends_on: [zz]\n"
        "    http: {url: 'http://x/', methd: GET}\n"
        "    rollback: {http: {url: 'http://x', URLS: y}}\n"
    )
    result = lint_text(text)
    assert found(result) == [
        ("S2", "metadata.lables", "unknown field, the API server drops it; did you mean 'labels'?"),
        ("S2", "spec.actions[1].depends_on", "unknown field, the API server drops it; did you mean 'dependsOn'?"),
        ("S2", "spec.actions[1].http.methd", "unknown field, the API server drops it; did you mean 'method'?"),
        (
            "N16",
            "spec.actions[1].rollback.http.URLS",
            "action[1] 'b': rollback: unknown field 'http.URLS', it is ignored; did you mean 'url'?",
        ),
    ]
    assert places(result) == [("S2", 3, 21), ("S2", 11, 5), ("S2", 12, 30), ("N16", 13, 40)]
    assert result.exit_code == 0


def test_what_nothing_can_be_made_of_says_that_its_rules_wait() -> None:
    result = lint_objects(workflow_json(http(timeout="x")) | {"spec": {"actions": "none"}})
    assert rules(result) == ["S1"]
    assert [note.text for note in result.skipped] == [
        "skipped: the rules for DRWorkflow default/w, until its schema errors are repaired"
    ]


def test_a_status_is_ignored() -> None:
    assert found(lint_objects({**plan_json(), "status": {"phase": 5, "currentExecution": {"name": "x"}}})) == []
