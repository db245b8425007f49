"""The rules on files, across files, and what stays open."""

# ruff: noqa: E501 - one finding is one line

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.lint.check import lint
from app.rules.catalogue import Severity
from tests.unit.lint.support import HEAD, found, lint_files, lint_objects, lint_text, places, rules
from tests.unit.rules.builders import (
    CONFIG_MAP,
    execution_json,
    http,
    plan_json,
    resource,
    stage,
    workflow_json,
)

Json = dict[str, Any]
NEEDY = workflow_json(http(http={"url": "http://$(params.host)/"}))
STARTS = "whether no other run of the plan is unfinished when these executions start"


def opened(*objects: Json) -> dict[str, tuple[str, ...]]:
    return {each.what: each.about for each in lint_objects(*objects).unchecked}


def test_a_finding_has_the_place_of_its_field() -> None:
    text = HEAD + (
        "kind: DRPlan\n"
        "metadata:\n"
        "  name: failover\n"
        "spec:\n"
        "  stages:\n"
        "  - name: drain\n"
        "    workflows: [{workflowRef: {name: w}}]\n"
        "  - name: switch\n"
        "    dependsOn: [drian, switch]\n"
        "    workflows: [{workflowRef: {name: w}}]\n"
    )
    result = lint_text(text)
    assert found(result) == [
        ("P9", "spec.stages[1].dependsOn", "cycle detected in stage dependencies: [switch switch]"),
        (
            "P7",
            "spec.stages[1].dependsOn[0]",
            "stage[1] 'switch': depends on non-existent stage 'drian'; did you mean 'drain'?",
        ),
        ("P8", "spec.stages[1].dependsOn[1]", "stage[1] 'switch': cannot depend on itself"),
    ]
    assert places(result) == [("P9", 10, 5), ("P7", 10, 17), ("P8", 10, 24)]


def test_a_plan_sees_the_workflows_of_other_files(tmp_path: Path) -> None:
    files = {"plan.yaml": yaml.safe_dump(plan_json()), "workflow.yaml": yaml.safe_dump(NEEDY)}
    (issue,) = lint_files(tmp_path, files).issues
    assert (issue.rule, issue.severity) == ("N8", Severity.WARNING)
    assert issue.position.file == str(tmp_path / "plan.yaml")
    assert "uses $(params.host), which has no value" in issue.message
    assert lint_files(tmp_path, {}, "plan.yaml").issues == []


def test_an_execution_sees_plan_and_workflows() -> None:
    result = lint_objects(NEEDY, plan_json(), execution_json())
    assert rules(result) == ["N8", "E24"]
    given = execution_json(params=[{"name": "host", "value": "x"}])
    assert rules(lint_objects(NEEDY, plan_json(), given)) == ["N8"]
    assert rules(lint_objects(plan_json(), execution_json())) == []


def test_an_execution_without_its_plan_is_judged_by_itself() -> None:
    result = lint_objects(execution_json(operationType="Revert", params=[{"name": ""}]))
    assert sorted(rules(result)) == ["E4", "E9"]


def test_a_revert_sees_its_target_but_not_whether_it_ended() -> None:
    revert = execution_json("r", operationType="Revert", revertExecutionRef="e")
    assert rules(lint_objects(plan_json(), execution_json(), revert)) == []
    assert rules(lint_objects(plan_json(), execution_json(planRef="other"), revert)) == ["E8"]
    assert rules(lint_objects(plan_json(), execution_json("x"), revert)) == []
    wrong = execution_json("e", operationType="Revert", revertExecutionRef="z")
    assert rules(lint_objects(plan_json(), wrong, revert)) == ["E6"]


def test_references_that_nearly_fit_warn() -> None:
    workflows = (workflow_json(name="route-traffic"), workflow_json(name="bring-up", namespace="shared"))
    plan = plan_json(stage("s", "route-trafic", "bring-up", "unlike"), name="failover")
    runs = (
        execution_json("go", planRef="failovr"),
        execution_json("back", operationType="Revert", planRef="failover", revertExecutionRef="goo"),
    )
    result = lint_objects(*workflows, plan, *runs)
    assert found(result) == [
        ("S7", "spec.stages[0].workflows[0].workflowRef", "workflow default/route-trafic is not among the files; did you mean default/route-traffic?"),
        ("S7", "spec.stages[0].workflows[1].workflowRef", "workflow default/bring-up is not among the files; did you mean shared/bring-up?"),
        ("S7", "spec.planRef", "plan default/failovr is not among the files; did you mean default/failover?"),
        ("S7", "spec.revertExecutionRef", "execution default/goo is not among the files; did you mean default/go?"),
    ]  # fmt: skip
    assert result.exit_code == 0


def test_objects_without_namespace_are_in_the_one_that_is_given() -> None:
    workflow, plan = workflow_json(http(), name="w", namespace="site"), plan_json(stage("s", "w"))
    del plan["metadata"]["namespace"]
    questions = {each.what for each in lint_objects(workflow, plan, namespace="site").unchecked}
    assert not any("workflows exist" in question for question in questions)
    assert "S7" in rules(lint_objects(workflow, plan))


def test_objects_that_are_given_twice_warn_and_the_last_one_counts() -> None:
    result = lint_objects(workflow_json(), NEEDY, plan_json())
    assert rules(result) == ["S6", "N8"]
    assert result.issues[0].message == "DRWorkflow default/w is also at <stdin>:1:1, the last one counts"


def test_a_workflow_that_cannot_be_decoded_is_no_missing_one() -> None:
    result = lint_objects(workflow_json(http(timeout=5)), plan_json())
    assert rules(result) == ["S1"]
    assert not any("exist" in each.what for each in result.unchecked)


def test_strict_makes_errors_of_warnings_and_ignored_ones_vanish() -> None:
    data = workflow_json(resource(CONFIG_MAP))
    assert (rules(lint_objects(data)), lint_objects(data).exit_code) == (["N1"], 0)
    strict = lint_objects(data, strict=True)
    assert (strict.issues[0].severity, strict.exit_code) == (Severity.ERROR, 1)
    assert lint_objects(data, strict=True, ignored={"N1"}).exit_code == 0
    broken = workflow_json(http(), http())
    assert rules(lint_objects(broken, ignored={"W2"})) == ["W2"]


def test_nothing_stays_open_that_does_not_apply() -> None:
    assert opened(plan_json(stage("s", "w")), workflow_json(name="w")) == {
        "whether the HTTP targets of these workflows answer": ("default/w",)
    }


def test_questions_that_take_a_cluster_are_named() -> None:
    source = {"name": "x", "valueFrom": {"manifestRef": {"apiVersion": "v1", "kind": "Node", "jsonPath": "{.a}"}}}
    secret = {"name": "Authorization", "secretKeyRef": {"name": "token", "key": "t"}}
    rollback = {"http": {"url": "http://x/", "clientCertificateSecretRef": {"name": "cert"}}}
    workflow = workflow_json(
        http(http={"url": "http://x/", "headersFrom": [secret]}, rollback=rollback), resource(CONFIG_MAP)
    )
    other = {"workflowRef": {"name": "far", "namespace": "shared"}}
    plan = plan_json(stage("s", "w", other, "gone"), globalParams=[source])
    revert = execution_json("r", operationType="Revert", planRef="q", revertExecutionRef="old")
    assert opened(workflow, plan, execution_json(), revert) == {
        "whether these workflows exist, and which parameters they need": (
            "shared/far (of default/p)",
            "default/gone (of default/p)",
        ),
        "whether the author of a plan may use these workflows of other namespaces": ("shared/far (of default/p)",),
        "whether these plans exist, and which parameters they need": ("default/q (of default/r)",),
        "whether these executions exist, and are runs of the same plan": ("default/old (of default/r)",),
        "whether these executions have ended, and were not taken back before": ("default/old (by default/r)",),
        STARTS: ("default/e (of plan p)", "default/r (of plan q)"),
        "whether these sources of parameters exist, give a value, and may be read by whoever names them": (
            "Node any (parameter x of default/p)",
        ),
        "whether these Secrets exist, and may be read by whoever names them": ("default/token", "default/cert"),
        "whether the API server accepts what these workflows make, and lets the controller make it": ("default/w",),
        "whether the HTTP targets of these workflows answer": ("default/w",),
    }


def test_the_examples_have_no_errors() -> None:
    with Path("/dev/null").open("rb") as nothing:
        result = lint([str(Path(__file__).parents[3] / "examples")], nothing)
    assert result.exit_code == 0
    assert result.objects == 5
    assert {issue.rule for issue in result.issues} <= {"N1", "N8", "N9"}


@pytest.mark.parametrize("kind", ["DRWorkflow", "DRPlan", "DRPlanExecution"])
@pytest.mark.parametrize(
    "spec", [None, [], "x", {"actions": [None, 3], "stages": [[], {"workflows": [{}]}]}, {"planRef": {}}]
)
def test_hostile_objects_draw_errors_and_no_tracebacks(kind: str, spec: Any) -> None:
    result = lint_objects({"apiVersion": "dr.bkbcs.tencent.com/v1alpha1", "kind": kind, "metadata": [], "spec": spec})
    assert result.exit_code == 1
    assert {"S5", "S1"} <= set(rules(result))


def test_executions_that_the_api_server_names_are_told_by_what_their_names_begin_with() -> None:
    run = execution_json(planRef="p")
    run["metadata"] = {"generateName": "p-", "namespace": "default"}
    result = lint_objects(workflow_json(), plan_json(), run, run)
    assert rules(result) == []
    assert opened(workflow_json(), plan_json(), run)[STARTS] == ("default/p-* (of plan p)",)
