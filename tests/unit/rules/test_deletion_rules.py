"""Deletion protection as data: who references what, which lock counts, and the exact texts."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest

from app.models.plan import CurrentExecution
from app.rules.deletion import check_execution_deletion, check_plan_deletion, check_workflow_deletion
from app.rules.findings import denial
from app.rules.unfinished import unfinished_runs
from tests.unit.rules.builders import execution_json, plan_json, stage

Json = dict[str, Any]


def other(name: str, namespace: str) -> Json:
    return {"workflowRef": {"name": name, "namespace": namespace}}


def test_a_referenced_workflow_stays() -> None:
    plans = [plan_json(stage("s", "nginx-workflow"), name="nginx-plan")]
    report = check_workflow_deletion("default", "nginx-workflow", plans)
    assert denial(report) == (
        "cannot delete DRWorkflow default/nginx-workflow: referenced by DRPlan(s): [default/nginx-plan]"
    )
    assert report.warnings == ("Workflow is referenced by 1 plan(s)",)


def test_references_count_across_namespaces_and_each_plan_once() -> None:
    plans = [
        plan_json(stage("s", other("w", "shared")), stage("t", other("w", "shared")), name="b", namespace="site"),
        plan_json(stage("s", "w"), name="a", namespace="shared"),
        plan_json(stage("s", "w"), name="mine", namespace="site"),
        plan_json(stage("s", other("v", "shared")), name="no", namespace="shared"),
        {"metadata": {"name": "broken", "namespace": "shared"}, "spec": {"stages": [None, {"workflows": 3}]}},
    ]
    report = check_workflow_deletion("shared", "w", plans)
    assert denial(report) == "cannot delete DRWorkflow shared/w: referenced by DRPlan(s): [shared/a site/b]"
    assert report.warnings == ("Workflow is referenced by 2 plan(s)",)
    assert check_workflow_deletion("default", "w", plans).ok


def test_a_long_list_of_plans_is_cut() -> None:
    plans = [plan_json(name=f"p{n:03}") for n in range(30)]
    assert denial(check_workflow_deletion("default", "w", plans)).endswith("default/p019 and 10 more]")


LOCK = CurrentExecution(name="run-1", namespace="default", uid="uid-run-1")


def runs(*executions: Json) -> Any:
    return unfinished_runs("p", executions)


def test_a_plan_with_a_lock_stays() -> None:
    report = check_plan_deletion("default", "p", LOCK, runs(execution_json("run-1", status={"phase": "Running"})))
    assert denial(report) == "cannot delete plan with running execution: default/run-1"
    assert report.warnings == ("Plan has a running execution",)


def test_a_plan_with_unfinished_executions_stays_also_without_lock() -> None:
    executions = [
        execution_json("run-1", status={"phase": "Running"}),
        execution_json("run-2"),
        execution_json("run-3", status={"phase": "Succeeded"}),
        execution_json("run-4", status={"phase": "Unknown"}),
        execution_json("elsewhere", planRef="q"),
    ]
    report = check_plan_deletion("default", "p", None, runs(*executions))
    assert denial(report) == (
        "cannot delete DRPlan default/p: has running executions: "
        "[default/run-1 (phase=Running) default/run-2 (phase=) default/run-4 (phase=Unknown)]"
    )
    assert report.warnings == ("Plan has 3 running execution(s)",)


@pytest.mark.parametrize(
    "executions",
    [
        [],
        [execution_json("run-1", status={"phase": "Succeeded"})],
        [execution_json("run-1", status={"phase": "Canceled"})],
        [execution_json("run-1", status={"phase": "Cancelled"})],
    ],
)
def test_a_stale_lock_does_not_count(executions: list[Json]) -> None:
    assert check_plan_deletion("default", "p", LOCK, runs(*executions)).ok


def test_a_lock_of_an_earlier_execution_of_that_name_does_not_count_but_the_new_one_does() -> None:
    again = execution_json("run-1", uid="another")
    assert denial(check_plan_deletion("default", "p", LOCK, runs(again))) == (
        "cannot delete DRPlan default/p: has running executions: [default/run-1 (phase=)]"
    )


@pytest.mark.parametrize(
    ("status", "warned"),
    [({"phase": "Running"}, True), ({"phase": "Unknown"}, True), ({"phase": "Pending"}, False), ({"phase": "Failed"}, False), (None, False)],
)  # fmt: skip
def test_deleting_a_running_execution_is_allowed_and_warned_about(status: Json | None, warned: bool) -> None:
    report = check_execution_deletion(execution_json(status=status))
    assert report.ok
    text = "Deleting a running execution may leave resources in inconsistent state"
    assert report.warnings == ((text,) if warned else ())
