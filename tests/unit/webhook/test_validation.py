"""The validating paths: which rule set is asked when, and what the API server is told."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.kube.registrations import validate_path
from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json
from tests.unit.webhook.client import RESOURCES, Admission, review
from tests.unit.webhook.fakes import FakeLookups, unavailable

Json = dict[str, Any]


def with_meta(obj: Json, **members: Any) -> Json:
    return {**obj, "metadata": {**obj["metadata"], **members}}


def lookups(**members: Any) -> FakeLookups:
    return FakeLookups(stored_workflows=[workflow_json()], stored_plans=[plan_json()], **members)


def denied(response: Json) -> str:
    assert response["allowed"] is False
    assert response["status"]["code"] == 403
    assert response["status"]["reason"] == "Forbidden"
    assert response["status"]["status"] == "Failure"
    return str(response["status"]["message"])


async def test_a_good_object_is_accepted() -> None:
    response = await Admission(lookups()).validate("CREATE", workflow_json())
    assert response == {"uid": "review-1", "allowed": True, "status": {"code": 200}}


async def test_a_refusal_has_text_and_causes_and_warnings() -> None:
    bad = workflow_json(
        http(http={"url": ""}), http(timeout="x"), {"name": "j", "type": "Job", "job": {"template": {"spec": {}}}}
    )
    response = await Admission(lookups()).validate("CREATE", bad)
    assert denied(response) == (
        "validation failed: [action[0] 'a': HTTP.URL is required; action[1]: duplicate action name 'a'; "
        "action[1] 'a': invalid timeout x: time: invalid duration \"x\" (write a duration such as 90s, 5m or 1h30m)] "
        "(W5, W2, W25)"
    )  # fmt: skip
    details = response["status"]["details"]
    assert (details["name"], details["kind"], details["group"]) == ("w", "DRWorkflow", "dr.bkbcs.tencent.com")
    assert [(cause["field"], cause["message"]) for cause in details["causes"]][:2] == [
        ("spec.actions[0].http.url", "action[0] 'a': HTTP.URL is required"),
        ("spec.actions[1].name", "action[1]: duplicate action name 'a'"),
    ]
    assert any("no custom rollback defined" in warning for warning in response["warnings"])


async def test_metadata_updates_pass_without_any_look_up() -> None:
    fake = FakeLookups()
    admission = Admission(fake)
    for obj in (workflow_json(http(timeout="x")), plan_json(stage("s", "gone")), execution_json(planRef="gone")):
        response = await admission.validate("UPDATE", with_meta(obj, labels={"a": "b"}), obj)
        assert response["allowed"] is True
    assert fake.asked == []


async def test_updates_of_what_is_being_deleted_pass() -> None:
    fake = FakeLookups()
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    old, new = with_meta(plan_json(), **gone), with_meta(plan_json(stage("other", "gone")), **gone)
    assert (await Admission(fake).validate("UPDATE", new, old))["allowed"] is True
    bad = with_meta(workflow_json(http(timeout="x")), **gone)
    assert (await Admission(fake).validate("UPDATE", bad, with_meta(workflow_json(), **gone)))["allowed"] is True


async def test_what_is_being_deleted_names_nothing_new_that_its_author_may_not_use() -> None:
    """A finalizer keeps it for as long as its author likes, and so it can be used."""
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    reference = {"apiVersion": "v1", "kind": "Secret", "namespace": "bank", "name": "vault", "jsonPath": "{.data.k}"}
    params = [{"name": "x", "valueFrom": {"manifestRef": reference}}]
    foreign = stage("s", "w", {"workflowRef": {"name": "w", "namespace": "shared"}})
    cases = (
        (workflow_json(), workflow_json(parameters=params), "may not get secrets"),
        (plan_json(), plan_json(globalParams=params), "may not get secrets"),
        (plan_json(), plan_json(foreign), "may not use workflow shared/w"),
        (execution_json(), execution_json(params=params), "cannot modify spec"),
        (execution_json(), execution_json(planRef="other"), "cannot modify spec"),
    )
    for old, new, text in cases:
        admission = Admission(lookups(forbidden={("shared", "w"), ("bank", "vault")}))
        response = await admission.validate("UPDATE", with_meta(new, **gone), with_meta(old, **gone))
        assert text in denied(response)
        kept = with_meta(new, **gone)
        assert (await admission.validate("UPDATE", with_meta(kept, finalizers=[]), kept))["allowed"] is True


async def test_a_plan_that_was_too_large_to_be_asked_about_is_asked_about_when_it_is_not() -> None:
    reference = {"apiVersion": "v1", "kind": "Secret", "namespace": "bank", "name": "vault", "jsonPath": "{.data.k}"}
    params = [{"name": "x", "valueFrom": {"manifestRef": reference}}]
    large = plan_json(stage("s", *["w"] * 9_000), globalParams=params)
    admission = Admission(lookups(forbidden={("bank", "vault")}))
    assert "may not get secrets" in denied(await admission.validate("UPDATE", plan_json(globalParams=params), large))


async def test_on_update_only_new_findings_deny() -> None:
    admission = Admission(lookups())
    old = workflow_json(http(timeout="x"))
    kept = await admission.validate("UPDATE", workflow_json(http(timeout="x"), http("b")), old)
    assert kept["allowed"] is True
    assert kept["warnings"][0].startswith("action[0] 'a': invalid timeout x")
    worse = await admission.validate("UPDATE", workflow_json(http(timeout="x"), http("b", timeout="y")), old)
    assert denied(worse).startswith("validation failed: [action[1] 'b': invalid timeout y")


async def test_a_plan_whose_workflow_has_vanished_can_still_be_edited() -> None:
    fake = lookups()
    old = plan_json(stage("s", "w", "gone"))
    new = {**copy.deepcopy(old), "spec": {**old["spec"], "description": "new"}}
    response = await Admission(fake).validate("UPDATE", new, old)
    assert response["allowed"] is True
    assert response["warnings"] == ["stage[0] 's' workflow[1]: workflow default/gone not found (P6)"]
    assert denied(await Admission(fake).validate("CREATE", new)) == (
        "validation failed: [stage[0] 's' workflow[1]: workflow default/gone not found] (P6)"
    )


async def test_editing_a_plan_that_runs_warns() -> None:
    old = {**plan_json(), "status": {"currentExecution": {"name": "e", "namespace": "default"}}}
    new = {**old, "spec": {**old["spec"], "description": "x"}}
    response = await Admission(lookups()).validate("UPDATE", new, old)
    assert response["allowed"] is True
    assert response["warnings"] == [
        "Plan is currently being executed, changes may not take effect until next execution (N15)"
    ]


async def test_references_into_other_namespaces_need_the_right_to_use_them() -> None:
    elsewhere = {"workflowRef": {"name": "w", "namespace": "shared"}}
    plan = plan_json(stage("s", "w", elsewhere))
    fake = lookups(forbidden={("shared", "w")})
    response = await Admission(fake).validate("CREATE", plan)
    assert denied(response) == (
        "validation failed: [stage[0] 's' workflow[1]: user \"alice\" may not use workflow shared/w "
        "(no rule allows it); a plan may only reference workflows of other namespaces that its author may use: give a "
        'Role in namespace shared the rule {apiGroups: ["dr.bkbcs.tencent.com"], resources: [drworkflows], '
        'resourceNames: [w], verbs: [use]} and bind it to user "alice"] (P18)'
    )
    assert response["status"]["details"]["causes"][0]["field"] == "spec.stages[0].workflows[1].workflowRef"
    off = Admission(lookups(forbidden={("shared", "w")}), check_references=False)
    assert "workflow shared/w not found" in denied(await off.validate("CREATE", plan))
    allowed = Admission(
        FakeLookups(stored_workflows=[workflow_json(), workflow_json(namespace="shared")], stored_plans=[])
    )
    assert (await allowed.validate("CREATE", plan))["allowed"] is True


async def test_a_referenced_workflow_cannot_be_deleted() -> None:
    fake = lookups()
    fake.stored_plans.append(
        plan_json(stage("s", {"workflowRef": {"name": "w", "namespace": "default"}}), name="far", namespace="site")
    )
    response = await Admission(fake).validate("DELETE", None, workflow_json())
    assert denied(response) == ("cannot delete DRWorkflow default/w: referenced by DRPlan(s): [default/p site/far]")
    assert response["warnings"] == ["Workflow is referenced by 2 plan(s)"]


async def test_protection_does_not_hold_in_a_terminating_namespace() -> None:
    fake = lookups(terminating_namespaces={"default"}, executions=[execution_json()])
    admission = Admission(fake)
    for obj in (workflow_json(), plan_json()):
        response = await admission.validate("DELETE", None, obj)
        assert response["allowed"] is True
        assert response["warnings"]


async def test_a_look_up_that_fails_keeps_no_terminating_namespace() -> None:
    failing: dict[str, Exception] = {name: unavailable(name) for name in ("plans", "executions_of")}
    for obj in (workflow_json(), plan_json()):
        going = Admission(lookups(terminating_namespaces={"default"}, failing=failing))
        assert (await going.validate("DELETE", None, obj))["allowed"] is True
        staying = await Admission(lookups(failing=failing)).validate("DELETE", None, obj)
        assert (staying["allowed"], staying["status"]["code"]) == (False, 503)
        lost = Admission(lookups(failing={**failing, "terminating": unavailable("namespace")}))
        assert "connection refused" in (await lost.validate("DELETE", None, obj))["status"]["message"]


@pytest.mark.parametrize("kind", ["workflow", "plan"])
async def test_the_deletion_of_a_collection_is_protected_too(kind: str) -> None:
    """The API server sends one review an object, without a name: it is in the stored object only."""
    old = workflow_json() if kind == "workflow" else plan_json()
    nameless = review("DELETE", None, old)
    nameless["request"]["name"] = ""
    path = validate_path(RESOURCES[old["kind"]])
    response = await Admission(lookups(executions=[execution_json()])).send(path, nameless)
    assert f"cannot delete {old['kind']} default/{old['metadata']['name']}: " in denied(response)


async def test_what_is_deleted_already_is_let_go() -> None:
    gone = with_meta(workflow_json(), deletionTimestamp="2026-01-01T00:00:00Z")
    assert (await Admission(lookups()).validate("DELETE", None, gone))["allowed"] is True


@pytest.mark.parametrize(
    ("lock", "executions", "message"),
    [
        ({"name": "e", "namespace": "default"}, [execution_json(status={"phase": "Running"})], "cannot delete plan with running execution: default/e"),
        (None, [execution_json()], "cannot delete DRPlan default/p: has running executions: [default/e (phase=)]"),
        ({"name": "e", "namespace": "default"}, [execution_json(status={"phase": "Succeeded"})], ""),
        ({"name": "e", "namespace": "default"}, [], ""),
    ],
)  # fmt: skip
async def test_deleting_a_plan(lock: Json | None, executions: list[Json], message: str) -> None:
    plan = {**plan_json(), "status": {"currentExecution": lock} if lock else {}}
    response = await Admission(lookups(executions=executions)).validate("DELETE", None, plan)
    if message:
        assert denied(response) == message
    else:
        assert response["allowed"] is True


async def test_deleting_a_running_execution_warns() -> None:
    running = execution_json(status={"phase": "Running"})
    response = await Admission(FakeLookups()).validate("DELETE", None, running)
    assert response["allowed"] is True
    assert response["warnings"] == ["Deleting a running execution may leave resources in inconsistent state (N14)"]


async def test_the_spec_of_an_execution_stays() -> None:
    admission = Admission(lookups())
    old = execution_json()
    response = await admission.validate("UPDATE", execution_json(mode="Install"), old)
    assert denied(response) == "cannot modify spec after creation"
    assert response["status"]["details"]["causes"] == [
        {"reason": "FieldValueInvalid", "field": "spec.mode", "message": "cannot modify spec after creation"}
    ]
    assert denied(await admission.validate("UPDATE", execution_json(params=[]), old))


async def test_a_second_execution_is_refused_naming_the_one_that_runs() -> None:
    admission = Admission(lookups(executions=[execution_json("first", status={"phase": "Running"})]))
    response = await admission.validate("CREATE", execution_json("second"))
    assert denied(response) == "validation failed: [plan p already has a running execution: default/first] (E20)"


async def test_an_execution_of_a_missing_plan_reads_nothing_else_but_names_to_suggest() -> None:
    fake = FakeLookups()
    response = await Admission(fake).validate("CREATE", execution_json(planRef="x"))
    assert denied(response) == (
        'validation failed: [plan x not found: drplans.dr.bkbcs.tencent.com "x" not found] (E2)'
    )
    assert fake.asked == ["plan", "listable", "names"]


async def test_a_revert_is_checked_against_its_target() -> None:
    target = execution_json("t", status={"phase": "Succeeded", "revertedBy": "r0"})
    response = await Admission(lookups(executions=[target])).validate(
        "CREATE", execution_json("r", operationType="Revert", revertExecutionRef="t")
    )
    assert denied(response) == "validation failed: [execution default/t was already reverted by r0] (R1)"


async def test_an_execution_is_checked_against_the_workflows_of_its_plan() -> None:
    fake = FakeLookups(
        stored_workflows=[workflow_json(http(http={"url": "$(params.host)"}))], stored_plans=[plan_json()]
    )
    assert "uses $(params.host), which has no value" in denied(
        await Admission(fake).validate("CREATE", execution_json())
    )


@pytest.mark.parametrize(
    ("failing", "operation", "obj"),
    [
        ("plans", "DELETE", workflow_json()),
        ("executions_of", "DELETE", plan_json()),
        ("workflows", "CREATE", plan_json()),
        ("plan", "CREATE", execution_json()),
        ("executions_of", "CREATE", execution_json()),
    ],
)
async def test_a_failed_look_up_refuses_with_its_own_code_and_what_was_looked_for(
    failing: str, operation: str, obj: Json
) -> None:
    fake = lookups(failing={failing: unavailable("failed to list")})
    new, old = (None, obj) if operation == "DELETE" else (obj, None)
    response = await Admission(fake).validate(operation, new, old)
    assert response["allowed"] is False
    assert response["status"]["code"] == 503
    assert response["status"]["reason"] == "ServiceUnavailable"
    assert response["status"]["message"] == "failed to list: connection refused"


async def test_a_stored_plan_that_cannot_be_used_is_told_as_such() -> None:
    broken = {**plan_json(), "spec": {"stages": 5}}
    response = await Admission(FakeLookups(stored_plans=[broken])).validate("CREATE", execution_json())
    assert response["status"]["code"] == 422
    assert response["status"]["message"] == (
        "DRPlan default/p cannot be used: the DRPlan cannot be decoded: spec.stages must be a list, found 5"
    )


async def test_dry_run_is_judged_like_any_other() -> None:
    response = await Admission(lookups()).validate("CREATE", execution_json(planRef="x"), dry_run=True)
    assert response["allowed"] is False
