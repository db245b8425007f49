"""Reports: what an update is refused for, and decoding."""

from __future__ import annotations

import pytest

from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.decode import UndecodableError, decode
from app.rules.findings import MOST_FINDINGS, MOST_STOPPERS, Finding, Findings, Report, denial, only_new
from app.rules.plan import check_plan
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow, workflow_json


def test_an_update_is_refused_only_for_what_is_new() -> None:
    old = check_workflow(workflow(http(timeout="x"), http("b")))
    new = check_workflow(workflow(http("new"), http(timeout="x"), http("b", timeout="y")))
    report = only_new(old, new)
    assert [(found.rule, found.path) for found in report.errors] == [("W25", "spec.actions[2].timeout")]
    assert report.warnings[0].startswith("action[1] 'a': invalid timeout x: ")


def test_a_finding_that_occurs_more_often_is_new() -> None:
    one, two = Finding("W2", "a[1]", "action[1]: twice"), Finding("W2", "a[2]", "action[2]: twice")
    report = only_new(Report(errors=(one,)), Report(errors=(one, two)))
    assert report.errors == (two,)
    assert report.warnings == (one.message,)


def test_repairing_everything_passes_without_warnings() -> None:
    assert only_new(check_workflow(workflow(http(timeout="x"))), check_workflow(workflow(http()))) == Report()


def test_runnable_findings_do_not_stop_a_stored_object() -> None:
    report = check_workflow(workflow(http(timeout="x"), http("b", when="x")))
    assert [found.rule for found in report.errors] == ["W25", "W24"]
    assert [found.rule for found in report.stoppers] == ["W24"]


@pytest.mark.parametrize(
    ("rule", "path", "message", "data"),
    [
        ("W1", "spec.actions", "at least one action is required", {"spec": {"actions": []}}),
        ("W3", "spec.actions[0].name", "action[0]: name is required", {"spec": {"actions": [http("")]}}),
        (
            "W19",
            "spec.actions[0].type",
            "action[0] 'a': unsupported action type 'SSH'",
            {"spec": {"actions": [{"name": "a", "type": "SSH"}]}},
        ),
    ],
)
def test_schema_rules_of_workflows_keep_their_words(
    rule: str, path: str, message: str, data: dict[str, object]
) -> None:
    report = decode(DRWorkflow, data)
    assert isinstance(report, Report)
    assert report.errors == (Finding(rule, path, message),)
    assert denial(report) == f"validation failed: [{message}]"


@pytest.mark.parametrize(
    ("rule", "message", "stages"),
    [
        ("P1", "at least one stage is required", []),
        ("P3", "stage[0]: name is required", [stage("")]),
        ("P4", "stage[0] 's': at least one workflow is required", [{"name": "s", "workflows": []}]),
    ],
)
def test_schema_rules_of_plans_keep_their_words(rule: str, message: str, stages: list[object]) -> None:
    report = decode(DRPlan, {**plan_json(), "spec": {"stages": stages}})
    assert isinstance(report, Report)
    assert [(found.rule, found.message) for found in report.errors] == [(rule, message)]


def test_what_the_contract_has_no_words_for_is_told_with_paths() -> None:
    broken = workflow_json(http(timeout=5, http={"url": ["x"]}), {"type": "Nope"})
    with pytest.raises(UndecodableError) as caught:
        decode(DRWorkflow, broken)
    assert [problem.path for problem in caught.value.problems] == [
        "spec.actions[0].http.url",
        "spec.actions[0].timeout",
        "spec.actions[1].name",
        "spec.actions[1].type",
    ]
    assert str(caught.value).startswith(
        "the DRWorkflow cannot be decoded: spec.actions[0].http.url must be text, found a list; "
        'spec.actions[0].timeout must be text, found 5: write "5"; spec.actions[1].name is required; '
    )


def test_an_execution_decodes_with_unknown_members() -> None:
    assert isinstance(decode(DRPlanExecution, {**execution_json(), "extra": 1}), DRPlanExecution)


def test_what_the_go_operator_stored_still_runs() -> None:
    stored = workflow(
        http(rollback={"type": "Job"}),
        http("b", retryPolicy={"limit": 0}),
        parameters=[{"name": "n", "type": "number", "default": "many"}, {"name": "mode"}, {"name": "a.b"}],
    )
    report = check_workflow(stored)
    assert [found.rule for found in report.errors] == ["W6", "W32", "W31", "W30"]
    assert report.stoppers == ()
    params = [{"name": "x"}, {"name": "x"}, {"name": ""}]
    plan = DRPlan.from_wire(plan_json(stage("s", {"workflowRef": {"name": "w"}, "params": params})))
    report = check_plan(plan, {})
    assert [found.rule for found in report.errors] == ["P13", "P12"]
    assert report.stoppers == ()


def test_what_stops_a_stored_object_is_found_behind_many_errors_that_do_not() -> None:
    tolerated = {f"X {n}": "v" for n in range(MOST_FINDINGS + 1)}
    report = check_workflow(workflow(http(http={"url": "http://x", "headers": tolerated}), http("b", when="x")))
    assert len(report.errors) == MOST_FINDINGS + 1
    assert [found.rule for found in report.stoppers] == ["W24"]


def test_what_stops_a_stored_object_is_bounded_too() -> None:
    findings = Findings()
    for _ in range(MOST_STOPPERS + 1):
        findings.at("spec").error("W1", "an error")
        findings.at("spec").warn("N1", "a warning", runnable=False)
    assert (len(findings.errors), len(findings.notices)) == (MOST_STOPPERS, MOST_STOPPERS)
