"""Every rule of plans: one object it refuses with the whole message and field path, and one it lets pass."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest

from app.models.workflow import DRWorkflow
from app.rules.findings import denial
from app.rules.plan import check_plan, workflow_keys
from tests.unit.rules.builders import http, plan, stage, workflow, workflow_json

Json = dict[str, Any]
W = {("default", "w"): workflow()}


def use(**members: Any) -> Json:
    return {"workflowRef": {"name": "w"}, **members}


CASES: list[tuple[str, str, list[Json], str, str, list[Json]]] = [
    ("duplicate stage", "P2", [stage("s"), stage("s")], "stage[1]: duplicate stage name 's'", "spec.stages[1].name", [stage("s"), stage("t")]),
    ("reference without name", "P5", [stage("s", "")], "stage[0] 's' workflow[0]: workflowRef.name is required", "spec.stages[0].workflows[0].workflowRef.name", [stage()]),
    ("unknown workflow", "P6", [stage("s", "w", "gone")], "stage[0] 's' workflow[1]: workflow default/gone not found", "spec.stages[0].workflows[1].workflowRef", [stage()]),
    ("unknown stage", "P7", [stage("s"), stage("t", dependsOn=["u"])], "stage[1] 't': depends on non-existent stage 'u'", "spec.stages[1].dependsOn[0]", [stage("s", dependsOn=["t"]), stage("t")]),
    ("misspelt stage", "P7", [stage("drain"), stage("switch", dependsOn=["drian"])], "stage[1] 'switch': depends on non-existent stage 'drian'; did you mean 'drain'?", "spec.stages[1].dependsOn[0]", [stage("drain"), stage("switch", dependsOn=["drain"])]),
    ("stage parameter without name", "P12", [stage("s", use(params=[{"name": "", "value": "x"}]))], "stage[0] 's' workflow[0]: params[0]: name is required", "spec.stages[0].workflows[0].params[0].name", [stage("s", use(params=[{"name": "x", "value": "x"}]))]),
    ("stage parameter twice", "P13", [stage("s", use(params=[{"name": "x"}, {"name": "x"}]))], "stage[0] 's' workflow[0]: params[1]: duplicate parameter name 'x'", "spec.stages[0].workflows[0].params[1].name", [stage("s", use(params=[{"name": "x"}, {"name": "y"}]))]),
    ("stage parameter mode", "P15", [stage("s", use(params=[{"name": "mode", "value": "delete"}]))], "stage[0] 's' workflow[0]: params[0]: parameter name \"mode\" is reserved; use spec.mode of the execution instead", "spec.stages[0].workflows[0].params[0].name", [stage()]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "bad", "message", "path", "good"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_stage_rule(rule: str, bad: list[Json], message: str, path: str, good: list[Json]) -> None:
    report = check_plan(plan(*bad), {**W, ("default", "gone"): None})
    assert [(found.rule, found.message, found.path) for found in report.errors] == [(rule, message, path)]
    assert denial(report) == f"validation failed: [{message}]"
    assert check_plan(plan(*good), W).errors == ()


def test_self_dependency_is_also_a_cycle() -> None:
    report = check_plan(plan(stage("a"), stage("c", dependsOn=["c"])), W)
    assert [(found.rule, found.message) for found in report.errors] == [
        ("P8", "stage[1] 'c': cannot depend on itself"),
        ("P9", "cycle detected in stage dependencies: [c c]"),
    ]


def test_cycle_is_told_with_the_way_into_it() -> None:
    stages = [stage("x", dependsOn=["a"]), stage("a", dependsOn=["b"]), stage("b", dependsOn=["a"])]
    (found,) = check_plan(plan(*stages), W).errors
    assert (found.rule, found.message) == ("P9", "cycle detected in stage dependencies: [x a b a]")


@pytest.mark.parametrize(
    ("rule", "params", "message"),
    [
        ("P10", [{"name": ""}], "globalParams[0]: name is required"),
        ("P11", [{"name": "x"}, {"name": "x"}], "globalParams[1]: duplicate parameter name 'x'"),
        ("P14", [{"name": "a.b"}], 'globalParams[0]: parameter name "a.b" must match [a-zA-Z][a-zA-Z0-9_-]*'),
        (
            "P15",
            [{"name": "mode", "value": "install"}],
            'globalParams[0]: parameter name "mode" is reserved; use spec.mode of the execution instead',
        ),
        (
            "P16",
            [{"name": "n", "type": "number", "value": "x"}],
            'globalParams[0](n).value: must be a decimal number, because the type is number; found "x"',
        ),
        (
            "P17",
            [{"name": "n", "valueFrom": {"manifestRef": {"apiVersion": "", "kind": "A", "jsonPath": "{.a}"}}}],
            "globalParams[0](n).valueFrom.manifestRef: apiVersion is required",
        ),
    ],
)
def test_global_parameter_rule(rule: str, params: list[Json], message: str) -> None:
    report = check_plan(plan(globalParams=params), W)
    assert [(found.rule, found.message) for found in report.errors] == [(rule, message)]


def test_a_value_of_the_wrong_type_for_the_workflow_is_refused_where_it_wins() -> None:
    declared = workflow(parameters=[{"name": "count", "type": "number", "default": "1"}])
    known = {("default", "w"): declared}
    wrong = plan(globalParams=[{"name": "count", "value": "many"}])
    (found,) = check_plan(wrong, known).errors
    assert (found.rule, found.path) == ("P20", "spec.stages[0].workflows[0]")
    assert found.message == (
        "stage[0] 's' workflow[0]: the value of parameter 'count' of workflow default/w "
        'must be a decimal number, because the type is number; found "many"'
    )
    overridden = plan(
        stage("s", use(params=[{"name": "count", "value": "3"}])), globalParams=[{"name": "count", "value": "many"}]
    )
    assert check_plan(overridden, known).ok


def test_what_has_no_value_yet_warns_because_an_execution_may_bring_it() -> None:
    needs = workflow(
        http(http={"url": "http://$(params.host)/$(params.mode)/$(mode)/{{ .params.path }}"}),
        http("b", rollback={"http": {"url": "$(params.undo)"}}),
        parameters=[{"name": "site", "required": True}],
    )
    known = {("default", "w"): needs}
    report = check_plan(plan(), known)
    assert report.ok
    assert report.warnings == (
        "stage[0] 's' workflow[0]: parameter 'site' of workflow default/w is required and has no value; "
        "every execution must give one",
        "stage[0] 's' workflow[0]: action 'a' of workflow default/w uses $(params.host), which has no value; "
        "every execution must give one",
        "stage[0] 's' workflow[0]: action 'a' of workflow default/w uses {{ .params.path }}, which has no value; "
        "every execution must give one",
        "stage[0] 's' workflow[0]: the rollback of action 'b' of workflow default/w uses $(params.undo), "
        "which has no value; the execution must give one, or its Revert",
    )
    names = ("host", "path", "site", "undo")
    given = plan(globalParams=[{"name": name, "value": ""} for name in names])
    assert check_plan(given, known).warnings == ()


def test_workflows_that_are_not_known_are_not_judged() -> None:
    assert check_plan(plan(), {}).ok


@pytest.mark.parametrize(
    ("status", "warned"),
    [({}, False), ({"phase": "Ready"}, False), ({"phase": "Invalid", "observedGeneration": 1}, False), ({"phase": "Invalid", "observedGeneration": 2}, True)],
)  # fmt: skip
def test_an_invalid_workflow_warns_and_stops_when_it_is_known_at_its_generation(status: Json, warned: bool) -> None:
    data = workflow_json()
    stored = DRWorkflow.from_wire({**data, "metadata": {**data["metadata"], "generation": 2}, "status": status})
    report = check_plan(plan(), {("default", "w"): stored})
    text = "stage[0] 's' workflow[0]: workflow default/w is not ready (phase=Invalid)"
    assert report.warnings == ((text,) if warned else ())
    assert report.ok
    assert [found.message for found in report.stoppers] == ([text] if warned else []), "the plan is Invalid"


def test_parallel_with_one_workflow_warns() -> None:
    text = "stage[0] 's': parallel=true with only one workflow, consider setting parallel=false"
    assert check_plan(plan(stage(parallel=True)), W).warnings == (text,)
    assert check_plan(plan(stage("s", "w", "w", parallel=True)), W).warnings == ()


def test_workflow_keys_default_to_the_plans_namespace_and_come_once() -> None:
    other = {"workflowRef": {"name": "w", "namespace": "other"}}
    stages = [stage("s", "w", other), stage("t", "w", "")]
    assert workflow_keys(plan(*stages, namespace="site")) == [("site", "w"), ("other", "w")]


def test_a_plan_whose_status_cannot_fit_is_refused_with_the_estimate() -> None:
    thousand = {("default", "w"): workflow(*[http(f"action-{n}") for n in range(1000)])}
    assert check_plan(plan(), thousand).ok
    four = plan(*[stage(f"s{n}") for n in range(4)])
    (found,) = check_plan(four, thousand).errors
    assert (found.rule, found.path) == ("P19", "spec.stages")
    assert found.message.startswith("the status of a run of plan p is estimated at 18")
    assert found.message.endswith("more than the 1024 KiB that fit: split the plan into several")


def test_a_misspelt_dependency_draws_a_hint() -> None:
    report = check_plan(plan(stage("drain"), stage("switch", dependsOn=["drian"])), W)
    (found,) = report.errors
    assert found.message == "stage[1] 'switch': depends on non-existent stage 'drian'; did you mean 'drain'?"
