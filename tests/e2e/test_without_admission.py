"""The controller's own checks: without admission it meets whatever is stored, and ends it with a reason."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.resources import WORKFLOWS
from tests.e2e.rivals import RIVALS, check_only_one_ran, held_plan
from tests.e2e.support import attempt_together, cancel, create, merge
from tests.support.installation import API, Installation, execution, http_action, plan, revert, stage, workflow


def _workflow(drplan: Installation, name: str = "w") -> dict[str, Any]:
    return workflow(name, [http_action("x", f"{drplan.site.url}/{drplan.namespace}/x")])


def _failed(drplan: Installation, name: str) -> str:
    status = drplan.wait_phase(name, "Failed")
    assert status["completionTime"]
    assert not drplan.site.calls(prefix=f"/{drplan.namespace}/")
    return str(status["message"])


def test_executions_created_at_the_same_moment(unguarded: Installation) -> None:
    """Nothing but the lock on the plan keeps them apart: one runs, the others end with the text of E20."""
    held_plan(unguarded)
    names = [f"e{number}" for number in range(RIVALS)]
    assert attempt_together(unguarded, [execution(name, "p") for name in names]) == [201] * RIVALS
    check_only_one_ran(unguarded, names)


def test_execution_before_workflow_and_plan_exist(unguarded: Installation) -> None:
    create(unguarded, execution("e", "p"))
    assert _failed(unguarded, "e") == 'plan not found: drplans.dr.bkbcs.tencent.com "p" not found'


def test_plan_is_validated_again_when_its_workflow_appears_changes_and_goes(unguarded: Installation) -> None:
    def phase_is(phase: str) -> bool:
        return unguarded.plan_status("p").get("phase") == phase

    create(unguarded, plan("p", [stage("s", "w")]))
    unguarded.wait(lambda: phase_is("Invalid"))
    [ready] = unguarded.plan_status("p")["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "ValidationFailed")
    assert f"{unguarded.namespace}/w" in ready["message"]
    create(unguarded, execution("early", "p"))
    assert _failed(unguarded, "early") == "plan p is not ready (phase=Invalid)"
    create(unguarded, _workflow(unguarded))
    unguarded.wait(lambda: phase_is("Ready"))
    unguarded.run("e", "p")
    unguarded.wait_unlocked("p")
    unguarded.kubectl("delete", "drw", "w")
    unguarded.wait(lambda: phase_is("Invalid"))
    create(unguarded, _workflow(unguarded))
    unguarded.wait(lambda: phase_is("Executed"), message="valid again, and the last operation was an Execute")


def test_run_that_ends_does_not_hide_that_its_plan_became_invalid(unguarded: Installation) -> None:
    held_plan(unguarded)
    create(unguarded, execution("e", "p"))
    unguarded.site.wait_for(f"/{unguarded.namespace}/x")
    unguarded.kubectl("delete", "drw", "w")
    unguarded.wait(lambda: unguarded.plan_status("p")["phase"] == "Invalid")
    unguarded.site.let_go(f"/{unguarded.namespace}/x")
    unguarded.wait_phase("e", "Succeeded")
    settled = unguarded.wait_unlocked("p")
    assert (settled["phase"], settled["lastExecutionRef"]) == ("Invalid", "e")


def test_cancelled_execution_of_an_invalid_plan(unguarded: Installation) -> None:
    cancelled = execution("e", "p")
    cancelled["metadata"]["annotations"] = {"dr.bkbcs.tencent.com/cancel": "true"}
    create(unguarded, plan("p", [stage("s", "w")]))
    unguarded.wait(lambda: unguarded.plan_status("p").get("phase") == "Invalid")
    create(unguarded, cancelled)
    status = unguarded.wait_phase("e", "Cancelled")
    assert status["message"] == "Execution canceled by user"
    cancel(unguarded, "e")
    assert unguarded.wait_unlocked("p")["executionHistory"][0]["phase"] == "Cancelled"


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ([("a", ["b"]), ("b", ["a"])], "cycle detected in action dependsOn graph"),
        ([("a", ["zz"])], 'unknown action "zz" in dependsOn of action "a"'),
        ([("a", []), ("a", [])], "duplicate action name"),
    ],
)
def test_workflow_that_cannot_run_is_invalid_and_so_is_its_plan(
    unguarded: Installation, actions: list[tuple[str, list[str]]], text: str
) -> None:
    url = f"{unguarded.site.url}/{unguarded.namespace}/x"
    create(
        unguarded,
        workflow("w", [http_action(name, url, dependsOn=needs) for name, needs in actions]),
        plan("p", [stage("s", "w")]),
    )
    unguarded.wait(lambda: unguarded.get("drw", "w").get("status", {}).get("phase") == "Invalid")
    assert text in unguarded.get("drw", "w")["status"]["conditions"][0]["message"]
    unguarded.wait(lambda: unguarded.plan_status("p").get("phase") == "Invalid")
    create(unguarded, execution("e", "p"))
    _failed(unguarded, "e")


def test_reverts_that_cannot_be(unguarded: Installation) -> None:
    ns = unguarded.namespace
    create(unguarded, _workflow(unguarded), plan("p", [stage("s", "w")]), plan("q", [stage("s", "w")]))
    unguarded.run("e", "p")
    unguarded.wait_unlocked("p")
    create(unguarded, revert("r", "p", "e"))
    unguarded.wait_phase("r", "Succeeded")
    unguarded.wait_unlocked("p")
    cases = {
        "no-target": (
            execution("no-target", "p", "Revert"),
            "revertExecutionRef must be specified for Revert operation",
        ),
        "gone": (
            revert("gone", "p", "nowhere"),
            'Failed to get target execution nowhere: drplanexecutions.dr.bkbcs.tencent.com "nowhere" not found',
        ),
        "of-revert": (revert("of-revert", "p", "r"), "Cannot revert non-Execute operation (target is Revert)"),
        "foreign": (revert("foreign", "q", "e"), f"Cannot revert execution {ns}/e: it belongs to another plan"),
        "again": (revert("again", "p", "e"), f"execution {ns}/e was already reverted by r"),
    }
    for name, (obj, text) in cases.items():
        create(unguarded, obj)
        assert unguarded.wait_phase(name, "Failed")["message"] == text
        unguarded.wait_unlocked(obj["spec"]["planRef"])


def test_lock_of_an_execution_that_is_gone_is_taken_over(unguarded: Installation) -> None:
    """A crash or a forced deletion may leave a lock behind: the next execution replaces it (decision D7)."""
    create(unguarded, _workflow(unguarded), plan("p", [stage("s", "w")]))
    unguarded.wait(lambda: unguarded.plan_status("p").get("phase") == "Ready")
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{unguarded.namespace}/drplans/p/status"
    lock = {
        "name": "ghost",
        "namespace": unguarded.namespace,
        "uid": "0-1",
        "operationType": "Execute",
        "phase": "Running",
    }
    patch = {"status": {"currentExecution": lock}}
    unguarded.cluster.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    unguarded.run("e", "p")
    assert unguarded.wait_unlocked("p")["lastExecutionRef"] == "e"


def test_object_that_cannot_be_read_troubles_nobody_else(unguarded: Installation) -> None:
    """The CRD leaves `rollback` open, so this is stored: it is Invalid, and others go on."""
    url = f"{unguarded.site.url}/{unguarded.namespace}/x"
    create(
        unguarded,
        workflow("bad", [http_action("x", url, rollback={"http": "no block", "type": 7})]),
        plan("pbad", [stage("s", "bad")]),
        _workflow(unguarded),
        plan("p", [stage("s", "w")]),
    )
    unguarded.wait(lambda: unguarded.get("drw", "bad").get("status", {}).get("phase") == "Invalid")
    unguarded.run("e", "p")
    merge(unguarded, "DRWorkflow", "bad", {"spec": _workflow(unguarded)["spec"]})
    unguarded.wait(lambda: unguarded.plan_status("pbad").get("phase") == "Ready")


def test_plan_that_cannot_be_read_is_invalid(unguarded: Installation) -> None:
    """Another version's CRD may let pass what this version cannot read."""
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/drplans.dr.bkbcs.tencent.com"
    api = unguarded.cluster.api
    schema = api.get(crd)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    place = "/spec/versions/0/schema/openAPIV3Schema/properties/spec"

    def replace(value: dict[str, Any]) -> None:
        body: Any = [{"op": "replace", "path": place, "value": value}]
        api.request("PATCH", crd, body, "application/json-patch+json")

    unreadable = plan("p", [])
    unreadable["spec"] = {"stages": "all of them"}
    try:
        replace({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
        unguarded.wait(lambda: attempt_together(unguarded, [unreadable]) == [201])
        unguarded.wait(lambda: unguarded.plan_status("p").get("phase") == "Invalid")
        [ready] = unguarded.plan_status("p")["conditions"]
        assert "stages" in ready["message"]
        unguarded.kubectl("delete", "drp", "p")
    finally:
        replace(schema)


@pytest.mark.parametrize("levels", [300, 9_000], ids=["not to be written", "not to be read"])
def test_a_workflow_of_many_levels_stops_no_other(unguarded: Installation, levels: int) -> None:
    """The API server stores what no JSON library of Python reads; in watch and list others do not go with it."""
    name, url = f"deep-{levels}", f"/apis/{API}/namespaces/{unguarded.namespace}/drworkflows"
    body = workflow(name, [http_action("a", "http://x/", rollback={"type": "Job", "job": {"template": "DEEP"}})])
    text = json.dumps(body).replace('"DEEP"', '{"a":' * levels + "1" + "}" * levels)
    status, said = unguarded.cluster.api.raw("POST", url, text.encode())
    assert status == 201, said
    unguarded.wait(lambda: str(unguarded.cluster.api.raw("GET", f"{url}/{name}")[1]).count('"phase":"Invalid"') == 1)
    create(unguarded, _workflow(unguarded))
    create(unguarded, plan("p", [stage("s", "w")]))
    unguarded.run("e", "p")
    create(unguarded, plan("uses-it", [stage("s", name)]))
    create(unguarded, execution("with-it", "uses-it"))
    unguarded.wait_phase("with-it", "Failed")

    async def listed() -> list[str]:
        async with KubeClient(load_connection(str(unguarded.cluster.kubeconfig))) as kube:
            found = await kube.list(WORKFLOWS, namespace=unguarded.namespace)
        return [item["metadata"]["name"] for item in found["items"]]

    assert set(asyncio.run(listed())) == {name, "w"}
    assert unguarded.cluster.api.raw("DELETE", f"{url}/{name}")[0] == 200
