"""Every rule of executions, with what surrounds them as data."""

from __future__ import annotations

from typing import Any

import pytest

from app.models.names import FINALIZER
from app.models.workflow import DRWorkflow
from app.rules.execution import Surroundings, check_execution
from app.rules.findings import denial
from app.rules.unfinished import UnfinishedRun
from tests.unit.rules.builders import CONFIG_MAP, execution, http, plan, plan_json, resource, stage, typed, workflow
from tests.unit.rules.test_workflow_rules import loc, no_spec

Json = dict[str, Any]


def around(plan_status: Json | None = None, target: Any = None, **members: Any) -> Surroundings:
    stored = plan().from_wire({**plan_json(), "status": plan_status or {}})
    return Surroundings(plan=stored, target=target, **members)


def run(name: str, phase: str = "Running", uid: str = "", created: str = "") -> UnfinishedRun:
    return UnfinishedRun("default", name, uid or f"uid-{name}", phase, created)


def messages(report: Any) -> list[tuple[str, str]]:
    return [(found.rule, found.message) for found in report.errors]


def test_a_plain_execution_passes() -> None:
    assert check_execution(execution(), around()).ok


def test_a_missing_plan_stops_the_evaluation() -> None:
    assert messages(check_execution(execution(planRef="", params=[{"name": ""}]), Surroundings())) == [
        ("E1", "planRef is required")
    ]
    assert messages(check_execution(execution(planRef="x", params=[{"name": ""}]), Surroundings())) == [
        ("E2", 'plan x not found: drplans.dr.bkbcs.tencent.com "x" not found')
    ]


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ({}, False),
        ({"phase": "Ready", "observedGeneration": 1}, False),
        ({"phase": "Executed", "observedGeneration": 1}, False),
        ({"phase": "Invalid", "observedGeneration": 0}, False),
        ({"phase": "Invalid", "observedGeneration": 1}, True),
    ],
)
def test_a_plan_known_to_be_invalid_is_refused(status: Json, refused: bool) -> None:
    expected = [("E3", "plan p is not ready (phase=Invalid)")] if refused else []
    assert messages(check_execution(execution(), around(status))) == expected


def revert(target: str = "t") -> Any:
    return execution("r", operationType="Revert", revertExecutionRef=target)


@pytest.mark.parametrize(
    ("rule", "target", "message"),
    [
        ("E5", None, 'referenced execution t not found: drplanexecutions.dr.bkbcs.tencent.com "t" not found'),
        (
            "E6",
            execution("t", {"phase": "Succeeded"}, operationType="Revert"),
            "referenced execution t must be an Execute operation, got Revert",
        ),
        (
            "E7",
            execution("t", {"phase": "Running"}),
            "referenced execution t must be in a terminal phase (Succeeded, Failed or Cancelled), got Running",
        ),
        (
            "E7",
            execution("t"),
            "referenced execution t must be in a terminal phase (Succeeded, Failed or Cancelled), got Pending",
        ),
        (
            "E8",
            execution("t", {"phase": "Failed"}, planRef="other"),
            "referenced execution t must belong to the same plan (expected p, got other)",
        ),
        (
            "R1",
            execution("t", {"phase": "Succeeded", "revertedBy": "r0"}),
            "execution default/t was already reverted by r0",
        ),
    ],
)
def test_revert_target(rule: str, target: Any, message: str) -> None:
    assert messages(check_execution(revert(), around(target=target))) == [(rule, message)]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Cancelled", "Canceled"])
def test_ended_executions_can_be_reverted(phase: str) -> None:
    assert check_execution(revert(), around(target=execution("t", {"phase": phase}))).ok


def test_a_revert_needs_a_target() -> None:
    report = check_execution(execution(operationType="Revert"), around())
    assert messages(report) == [("E4", "revertExecutionRef is required for Revert operation")]


def test_everything_wrong_with_a_target_comes_at_once() -> None:
    target = execution("t", {"phase": "Running"}, operationType="Revert", planRef="q")
    assert [rule for rule, _ in messages(check_execution(revert(), around(target=target)))] == ["E6", "E7", "E8"]


MANIFEST: Json = {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}"}


@pytest.mark.parametrize(
    ("rule", "param", "message"),
    [
        ("E9", {"name": ""}, "params[0]: name must not be empty"),
        ("E10", {"name": "a.b"}, 'params[0]: parameter name "a.b" must match [a-zA-Z][a-zA-Z0-9_-]*'),
        ("E11", {"name": "mode"}, 'params[0]: parameter name "mode" is reserved; use spec.mode field instead'),
        (
            "E13",
            {"name": "x", "value": "v", "valueFrom": {"manifestRef": MANIFEST}},
            "params[0](x): value and valueFrom are mutually exclusive",
        ),
        (
            "E14",
            {"name": "x", "valueFrom": {"manifestRef": {**MANIFEST, "apiVersion": ""}}},
            "params[0](x).valueFrom.manifestRef: apiVersion is required",
        ),
        (
            "E15",
            {"name": "x", "valueFrom": {"manifestRef": {**MANIFEST, "kind": ""}}},
            "params[0](x).valueFrom.manifestRef: kind is required",
        ),
        (
            "E16",
            {"name": "x", "valueFrom": {"manifestRef": {**MANIFEST, "jsonPath": ""}}},
            "params[0](x).valueFrom.manifestRef: jsonPath is required",
        ),
        (
            "E17",
            {"name": "x", "valueFrom": {"manifestRef": {**MANIFEST, "name": "n", "labelSelector": "l"}}},
            "params[0](x).valueFrom.manifestRef: name and labelSelector are mutually exclusive",
        ),
        (
            "E22",
            {"name": "x", "type": "boolean", "value": "1"},
            'params[0](x).value: must be "true" or "false", because the type is boolean; found "1"',
        ),
    ],
)
def test_parameter_rule(rule: str, param: Json, message: str) -> None:
    assert messages(check_execution(execution(params=[param]), around())) == [(rule, message)]


def test_repeated_parameter() -> None:
    report = check_execution(execution(params=[{"name": "x"}, {"name": "x"}, {"name": ""}, {"name": ""}]), around())
    assert messages(report) == [
        ("E12", 'params[1]: duplicate parameter name "x"'),
        ("E9", "params[2]: name must not be empty"),
        ("E9", "params[3]: name must not be empty"),
    ]


def test_empty_value_with_source_and_source_without_reference_pass() -> None:
    params = [
        {"name": "x", "value": "", "valueFrom": {"manifestRef": MANIFEST}},
        {"name": "y", "value": "v", "valueFrom": {}},
    ]
    report = check_execution(execution(params=params), around())
    assert report.ok
    assert report.warnings == (
        "params[0](x).value: an empty text counts as none, because its value is read from the cluster; leave it out",
    )
    lost = check_execution(execution(params=[{"name": "y", "valueFrom": {}}]), around())
    assert lost.warnings == (
        "params[0](y).valueFrom: only valueFrom.manifestRef is supported yet; this parameter gets no value here",
    )


@pytest.mark.parametrize(
    ("lock", "unfinished", "named"),
    [
        (None, [], None),
        ({"name": "gone"}, [], None),
        ({"name": "b"}, [run("a"), run("b")], "b"),
        ({"name": "b", "uid": "old"}, [run("b")], "b"),
        (None, [run("b", ""), run("c")], "c"),
        (None, [run("b", "Pending"), run("c", "")], "b"),
        (None, [run("b", "Unknown")], "b"),
    ],
)
def test_one_execution_at_a_time(lock: Json | None, unfinished: list[UnfinishedRun], named: str | None) -> None:
    report = check_execution(execution(), around({"currentExecution": lock} if lock else {}, unfinished=unfinished))
    expected = [("E20", f"plan p already has a running execution: default/{named}")] if named else []
    assert messages(report) == expected


def uses(*names: str) -> DRWorkflow:
    return workflow(*[http(name, http={"url": f"$(params.{name})"}) for name in names])


def test_what_no_level_gives_is_refused_before_the_start() -> None:
    needs = workflow(
        http(http={"url": "$(params.host)"}),
        http("b", http={"url": "$(params.old)"}, when="mode == delete"),
        http("c", rollback={"http": {"url": "$(params.undo)"}}),
        parameters=[{"name": "site", "required": True, "type": "number"}],
    )
    known = {("default", "w"): needs}
    report = check_execution(execution(), around(workflows=known))
    assert messages(report) == [
        (
            "E24",
            "stage[0] 's' workflow[0]: parameter 'site' of workflow default/w is required and has no value; "
            "give one in spec.params",
        ),
        (
            "E24",
            "stage[0] 's' workflow[0]: action 'a' of workflow default/w uses $(params.host), which has no value; "
            "give one in spec.params",
        ),
    ]
    assert {found.path for found in report.errors} == {"spec.params"}
    params = [{"name": "host", "value": "x"}, {"name": "site", "value": "1"}]
    assert check_execution(execution(params=params), around(workflows=known)).ok
    wrong = [{"name": "host", "value": "x"}, {"name": "site", "value": "one"}]
    assert messages(check_execution(execution(params=wrong), around(workflows=known))) == [
        (
            "E23",
            "stage[0] 's' workflow[0]: the value of parameter 'site' of workflow default/w "
            'must be a decimal number, because the type is number; found "one"',
        )
    ]


def test_a_revert_needs_no_parameters() -> None:
    surroundings = around(target=execution("t", {"phase": "Failed"}), workflows={("default", "w"): uses("x")})
    assert check_execution(revert(), surroundings).ok


DELETE_LOCALIZATION = no_spec(loc(operation="Delete"))


@pytest.mark.parametrize(
    ("actions", "refused"),
    [
        ([loc()], True),
        ([http()], True),
        ([resource(CONFIG_MAP)], True),
        ([loc(), resource(CONFIG_MAP, "Delete")], True),
        ([loc(), {**DELETE_LOCALIZATION, "name": "d"}], False),
        ([resource(CONFIG_MAP, "Delete")], False),
        ([http(when='mode == "delete"')], False),
        ([http(when='mode != "delete"')], True),
        ([http(when="mode == install")], True),
        ([http(when="!(mode == 'delete')")], True),
        ([http(when="mode in ['delete', 'upgrade']")], False),
        ([{**resource(CONFIG_MAP, "Delete"), "when": "mode == upgrade"}], True),
        ([loc(), {**DELETE_LOCALIZATION, "name": "d", "when": "mode == install"}], True),
    ],
)
def test_delete_mode_needs_explicit_deletes(actions: list[Json], refused: bool) -> None:
    known = {("default", "w"): workflow(*actions)}
    report = check_execution(execution(mode="Delete"), around(workflows=known))
    text = (
        "mode Delete is not supported yet for workflow default/w, because it has no explicit Delete action: "
        'add actions with operation Delete (and when: mode == "delete"), or run it without mode Delete'
    )
    assert messages(report) == ([("U6", text)] if refused else [])
    assert check_execution(execution(mode="Install"), around(workflows=known)).ok


def test_delete_mode_leaves_nothing_of_clusternet_behind() -> None:
    other = typed("Localization", "localization", {**loc()["localization"], "name": "other"}, "b")
    gone = {**DELETE_LOCALIZATION, "name": "d", "when": "mode == delete"}
    report = check_execution(
        execution(mode="Delete"), around(workflows={("default", "w"): workflow(loc(), other, gone)})
    )
    assert messages(report) == [
        (
            "U6",
            "mode Delete would leave the Localization of action 'b' of workflow default/w, because no explicit Delete "
            "of it takes part: add an action of this type, name and namespace with operation Delete (and when: "
            'mode == "delete")',
        )
    ]
    only_then = {**other, "when": "mode == delete"}
    assert check_execution(
        execution(mode="Delete"), around(workflows={("default", "w"): workflow(loc(), only_then, gone)})
    ).ok


def test_a_run_whose_status_cannot_fit_is_refused() -> None:
    known = {("default", "w"): workflow(*[http(f"action-{n}") for n in range(4000)])}
    (found,) = check_execution(execution(), around(workflows=known)).errors
    assert (found.rule, found.path) == ("E25", "spec.planRef")
    assert "is estimated at 18" in found.message


def test_a_restored_execution_warns() -> None:
    def restored(**annotations: str) -> Any:
        data = execution().model_dump(by_alias=True)
        meta = {"name": "e", "namespace": "default", "finalizers": [FINALIZER], "annotations": annotations}
        return execution().from_wire({**data, "metadata": meta})

    (warning,) = check_execution(restored(), around()).warnings
    assert "restored from a backup" in warning
    allowed = {"dr.bkbcs.tencent.com/start-restored": "true"}
    assert check_execution(restored(**allowed), around()).warnings == ()


def test_findings_are_joined_by_semicolons() -> None:
    report = check_execution(
        execution(params=[{"name": ""}]), around({"phase": "Invalid", "observedGeneration": 1}, unfinished=[run("x")])
    )
    assert denial(report) == (
        "validation failed: [plan p is not ready (phase=Invalid); params[0]: name must not be empty; "
        "plan p already has a running execution: default/x]"
    )


def test_workflows_of_a_plan_that_are_gone_are_not_judged() -> None:
    assert check_execution(execution(mode="Delete"), around(workflows={("default", "w"): None})).ok


def test_each_use_of_a_workflow_is_judged_with_its_own_parameters() -> None:
    uses_x = {("default", "w"): uses("x")}
    given = {"workflowRef": {"name": "w"}, "params": [{"name": "x", "value": "1"}]}
    two = plan(stage("s", given), stage("t"))
    (found,) = check_execution(execution(), Surroundings(plan=two, workflows=uses_x)).errors
    assert found.message.startswith("stage[1] 't' workflow[0]: action 'x' ")
