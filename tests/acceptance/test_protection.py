"""D1 to D5: what is in use cannot be deleted, one execution a plan, and a Revert needs something to revert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from app.models.names import FINALIZER
from tests.acceptance.stories import small_plan, undone_by_http, wait_valid, without_controller
from tests.support.installation import Installation, execution, http_action, plan, revert, stage, workflow

WORKFLOW_HOOK = 'admission webhook "vdrworkflow.kb.io" denied the request: '
PLAN_HOOK = 'admission webhook "vdrplan.kb.io" denied the request: '
EXECUTION_HOOK = 'admission webhook "vdrplanexecution.kb.io" denied the request: '


@pytest.fixture
def held(drplan: Installation) -> Iterator[Installation]:
    """Plan p with execution e, whose only action runs until the end of the test."""
    path = f"/{drplan.namespace}/held"
    drplan.apply(workflow("w", [http_action("held", f"{drplan.site.url}{path}")]), plan("p", [stage("only", "w")]))
    wait_valid(drplan, "p")
    drplan.site.hold(path)
    drplan.apply(execution("e", "p"))
    drplan.site.wait_for(path)
    yield drplan
    with suppress(KeyError):
        drplan.site.let_go(path)


def test_d1_workflow_in_use_cannot_be_deleted(drplan: Installation) -> None:
    """In namespace default, with the names and the answer of the requirement documents."""
    here = Installation(drplan.cluster, drplan.site, "default")
    url = f"{drplan.site.url}/{drplan.namespace}"
    here.apply(
        workflow("nginx-workflow", [undone_by_http("switch", f"{url}/switch")]),
        plan("nginx-plan", [stage("only", "nginx-workflow")]),
    )
    refused = here.kubectl("delete", "drworkflow", "nginx-workflow", check=False)
    assert refused.rc != 0
    assert (
        'Error from server (Forbidden): admission webhook "vdrworkflow.kb.io" denied the request: '
        "cannot delete DRWorkflow default/nginx-workflow: referenced by DRPlan(s): [default/nginx-plan]"
    ) in refused.stderr.splitlines()
    assert here.exists("drw", "nginx-workflow")
    here.kubectl("delete", "drp", "nginx-plan")
    here.kubectl("delete", "drw", "nginx-workflow")


def test_d1_plans_of_other_namespaces_protect_it_too(drplan: Installation) -> None:
    small_plan(drplan)
    other = Installation(drplan.cluster, drplan.site, drplan.cluster.namespace())
    ns = drplan.namespace
    other.apply(plan("far", [stage("only", {"workflowRef": {"name": "p-w", "namespace": ns}})]))
    refused = drplan.kubectl("delete", "drw", "p-w", check=False)
    plans = " ".join(sorted([f"{ns}/p", f"{other.namespace}/far"]))
    text = f"{WORKFLOW_HOOK}cannot delete DRWorkflow {ns}/p-w: referenced by DRPlan(s): [{plans}]"
    assert text in refused.stderr
    drplan.kubectl("delete", "drp", "p")
    refused = drplan.kubectl("delete", "drw", "p-w", check=False)
    assert f"referenced by DRPlan(s): [{other.namespace}/far]" in refused.stderr


@pytest.mark.parametrize("kind", ["DRWorkflow", "DRPlan"])
def test_d1_and_d2_hold_for_the_deletion_of_a_collection(held: Installation, kind: str) -> None:
    """The API server asks about each object, without telling its name."""
    plural = f"{kind.lower()}s"
    collection = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{held.namespace}/{plural}"
    status, answer = held.cluster.api.raw("DELETE", collection)
    assert status == 403
    text = {
        "DRWorkflow": f"{WORKFLOW_HOOK}cannot delete DRWorkflow {held.namespace}/w: referenced by DRPlan(s)",
        "DRPlan": f"{PLAN_HOOK}cannot delete plan with running execution: {held.namespace}/e",
    }[kind]
    assert text in json.loads(answer)["message"]
    assert len(held.cluster.api.get(collection)["items"]) == 1


def test_d2_plan_of_a_running_execution_cannot_be_deleted(held: Installation) -> None:
    """The fast path: the plan's lock."""
    refused = held.kubectl("delete", "drp", "p", check=False)
    assert refused.rc != 0
    text = f"{PLAN_HOOK}cannot delete plan with running execution: {held.namespace}/e"
    assert f"Error from server (Forbidden): {text}" in refused.stderr.splitlines()
    assert held.exists("drp", "p")


def test_d2_plan_whose_execution_has_no_lock_yet_cannot_be_deleted(drplan: Installation) -> None:
    """The full check: the list of executions. Nobody takes the lock here, because no controller runs."""
    small_plan(drplan)
    with without_controller(drplan):
        drplan.apply(execution("e", "p"))
        assert "currentExecution" not in drplan.plan_status("p")
        refused = drplan.kubectl("delete", "drp", "p", check=False)
        ns = drplan.namespace
        text = f"{PLAN_HOOK}cannot delete DRPlan {ns}/p: has running executions: [{ns}/e (phase=Pending)]"
        absent = text.replace("(phase=Pending)", "(phase=)")
        assert refused.rc != 0
        assert f"Error from server (Forbidden): {absent}" in refused.stderr.splitlines()
        drplan.kubectl(
            "patch", "drpe", "e", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Pending"}}'
        )
        refused = drplan.kubectl("delete", "drp", "p", check=False)
        assert f"Error from server (Forbidden): {text}" in refused.stderr.splitlines()
    drplan.wait_phase("e", "Succeeded")


def test_d2_a_stale_lock_protects_nothing(drplan: Installation) -> None:
    small_plan(drplan)
    with without_controller(drplan):
        lock = {"status": {"currentExecution": {"name": "gone", "namespace": drplan.namespace}}}
        drplan.kubectl("patch", "drp", "p", "--subresource=status", "--type=merge", "-p", json.dumps(lock))
        drplan.kubectl("delete", "drp", "p")


def test_d3_workflow_can_be_deleted_after_its_plan(drplan: Installation) -> None:
    small_plan(drplan)
    assert drplan.kubectl("delete", "drw", "p-w", check=False).rc != 0
    drplan.kubectl("delete", "drp", "p")
    drplan.kubectl("delete", "drw", "p-w")
    assert not drplan.exists("drw", "p-w")


def test_d3_plan_can_be_deleted_after_its_run(held: Installation) -> None:
    assert held.kubectl("delete", "drp", "p", check=False).rc != 0
    held.site.let_go(f"/{held.namespace}/held")
    held.wait_phase("e", "Succeeded")
    held.wait_unlocked("p")
    held.kubectl("delete", "drp", "p")
    assert not held.exists("drp", "p")
    held.kubectl("delete", "drpe", "e", "--timeout=30s")


def test_d4_second_execution_is_refused_and_names_the_first(held: Installation) -> None:
    ns = held.namespace
    for second in (execution("second", "p"), revert("second", "p", "e")):
        refused = held.kubectl("create", "-f", "-", stdin=second, check=False)
        assert refused.rc != 0
        assert f"{EXECUTION_HOOK}validation failed: [" in refused.stderr
        assert f"plan p already has a running execution: {ns}/e" in refused.stderr
    refused = held.kubectl("create", "-f", "-", stdin=execution("second", "p"), check=False)
    assert f"{EXECUTION_HOOK}validation failed: [plan p already has a running execution: {ns}/e]" in refused.stderr
    assert not held.exists("drpe", "second")


def test_d4_a_restored_execution_holds_nothing(drplan: Installation) -> None:
    """It does not start by itself (decision D9), so the next failover does not wait for it."""
    small_plan(drplan)
    restored = execution("e", "p")
    restored["metadata"]["finalizers"] = [FINALIZER]
    drplan.apply(restored)
    drplan.run("second", "p")


def _refusal_of_revert(drplan: Installation, target: str, plan_name: str = "p") -> str:
    refused = drplan.kubectl("create", "-f", "-", stdin=revert("undo", plan_name, target), check=False)
    assert refused.rc != 0
    assert not drplan.exists("drpe", "undo")
    return str(refused.stderr)


def test_d5_revert_needs_an_execute_of_the_same_plan(drplan: Installation) -> None:
    small_plan(drplan)
    small_plan(drplan, "q")
    drplan.run("run", "p")
    drplan.run("other", "q")
    drplan.wait_unlocked("p")
    drplan.take_back("back", "p", "run")
    drplan.wait_unlocked("p")

    assert f"{EXECUTION_HOOK}validation failed: [revertExecutionRef is required for Revert operation]" in (
        _refusal_of_revert(drplan, "")
    )
    missing = 'referenced execution nowhere not found: drplanexecutions.dr.bkbcs.tencent.com "nowhere" not found'
    assert f"{EXECUTION_HOOK}validation failed: [{missing}]" in _refusal_of_revert(drplan, "nowhere")
    wrong = "referenced execution back must be an Execute operation, got Revert"
    assert f"{EXECUTION_HOOK}validation failed: [{wrong}]" in _refusal_of_revert(drplan, "back")
    foreign = "referenced execution other must belong to the same plan (expected p, got q)"
    assert f"{EXECUTION_HOOK}validation failed: [{foreign}]" in _refusal_of_revert(drplan, "other")


def test_d5_revert_needs_a_target_that_has_ended(held: Installation) -> None:
    text = "referenced execution e must be in a terminal phase (Succeeded, Failed or Cancelled), got Running"
    assert text in _refusal_of_revert(held, "e")
