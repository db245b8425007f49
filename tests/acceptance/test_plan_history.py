"""H1 to H5: what a plan records of its runs, and what of it outlives them."""

from __future__ import annotations

from typing import Any

from app.models.names import CANCEL_ANNOTATION, FINALIZER
from tests.acceptance.stories import small_plan, undone_by_http, wait_valid
from tests.support.installation import (
    Installation,
    execution,
    http_action,
    plan,
    revert,
    stage,
    workflow,
)


def records_of(drplan: Installation, name: str = "p") -> list[dict[str, Any]]:
    """The history of a plan."""
    found = drplan.plan_status(name).get("executionHistory", [])
    assert isinstance(found, list)
    return found


def record_of(drplan: Installation, execution_name: str) -> dict[str, Any]:
    """The one record of an execution in the history of plan p; empty when there is none."""
    found = [record for record in records_of(drplan) if record["name"] == execution_name]
    assert len(found) <= 1, found
    return found[0] if found else {}


def test_h1_two_runs_and_two_reverts(drplan: Installation) -> None:
    small_plan(drplan)
    seen = []
    for number in (1, 2):
        drplan.run(f"execute-{number}", "p")
        seen.append(drplan.wait_unlocked("p"))
        drplan.take_back(f"revert-{number}", "p", f"execute-{number}")
        seen.append(drplan.wait_unlocked("p"))
    assert [(status["phase"], status["lastExecutionRef"]) for status in seen] == [
        ("Executed", "execute-1"),
        ("Ready", "revert-1"),
        ("Executed", "execute-2"),
        ("Ready", "revert-2"),
    ]
    status = seen[-1]
    assert [(record["name"], record["operationType"], record["phase"]) for record in status["executionHistory"]] == [
        ("revert-2", "Revert", "Succeeded"),
        ("execute-2", "Execute", "Succeeded"),
        ("revert-1", "Revert", "Succeeded"),
        ("execute-1", "Execute", "Succeeded"),
    ]
    for record in status["executionHistory"]:
        stored = drplan.get("drpe", record["name"])
        assert record["uid"] == stored["metadata"]["uid"]
        assert record["namespace"] == drplan.namespace
        assert record["startTime"] == stored["status"]["startTime"]
        assert record["completionTime"] == stored["status"]["completionTime"]
        assert record["message"] == stored["status"]["message"]
    assert status["lastExecutionTime"] == drplan.status("revert-2")["completionTime"]


def test_h2_only_success_changes_phase_and_last_execution(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    held = http_action("held", f"{url}/held", when='mode == "upgrade"')
    broken = http_action(
        "broken", f"{drplan.site.url}/status/500/{ns}", when='mode == "delete"', retryPolicy={"limit": 0}
    )
    always = undone_by_http("always", f"{url}/always")
    drplan.apply(workflow("w", [always, held, broken]), plan("p", [stage("only", "w")]))
    wait_valid(drplan, "p")
    assert drplan.plan_status("p")["phase"] == "Ready"
    drplan.run("good", "p", mode="Install")
    after_good = drplan.wait_unlocked("p")
    assert (after_good["phase"], after_good["lastExecutionRef"]) == ("Executed", "good")

    drplan.run("bad", "p", "Failed", mode="Delete")
    after_bad = drplan.wait_unlocked("p")
    drplan.site.hold(f"/{ns}/held")
    drplan.apply(execution("stopped", "p", mode="Upgrade"))
    drplan.site.wait_for(f"/{ns}/held")
    running = record_of(drplan, "stopped")
    assert (running["phase"], "completionTime" in running) == ("Running", False)
    assert drplan.plan_status("p")["currentExecution"]["name"] == "stopped"
    drplan.kubectl("annotate", "drpe", "stopped", f"{CANCEL_ANNOTATION}=true")
    drplan.site.let_go(f"/{ns}/held")
    drplan.wait_phase("stopped", "Cancelled")
    after_stopped = drplan.wait_unlocked("p")

    for status in (after_bad, after_stopped):
        for member in ("phase", "lastExecutionRef", "lastExecutionTime"):
            assert status[member] == after_good[member]
    phases = [(record["name"], record["phase"]) for record in after_stopped["executionHistory"]]
    assert phases == [("stopped", "Cancelled"), ("bad", "Failed"), ("good", "Succeeded")]


def test_h2_a_failed_revert_changes_neither(drplan: Installation) -> None:
    small_plan(drplan)
    drplan.run("run", "p")
    before = drplan.wait_unlocked("p")
    drplan.kubectl("delete", "configmap", "p-made")
    drplan.take_back("undo", "p", "run", "Failed")
    after = drplan.wait_unlocked("p")
    for member in ("phase", "lastExecutionRef", "lastExecutionTime"):
        assert after[member] == before[member]
    assert [(record["name"], record["phase"]) for record in after["executionHistory"]] == [
        ("undo", "Failed"),
        ("run", "Succeeded"),
    ]
    assert "revertedBy" not in record_of(drplan, "run")


def test_h3_deleting_a_running_execution_is_a_cancel_on_record(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.apply(
        workflow("w", [http_action("held", f"{url}/held"), http_action("never", f"{url}/never")]),
        plan("p", [stage("only", "w")]),
        execution("e", "p"),
    )
    drplan.site.hold(f"/{ns}/held")
    drplan.site.wait_for(f"/{ns}/held")
    deleted = drplan.kubectl("delete", "drpe", "e", "--wait=false")
    assert "Warning: Deleting a running execution may leave resources in inconsistent state" in deleted.stderr
    drplan.site.let_go(f"/{ns}/held")
    drplan.wait(lambda: not drplan.exists("drpe", "e"), message="the execution stays")
    status = drplan.wait_unlocked("p")
    record = record_of(drplan, "e")
    assert record["phase"] == "Cancelled"
    assert record["completionTime"] >= record["startTime"]
    assert "lastExecutionRef" not in status
    assert drplan.site.calls(f"/{ns}/never") == []
    drplan.run("next", "p")


def test_h3_deleting_a_pending_execution_is_a_cancel_on_record(drplan: Installation) -> None:
    """An execution restored from a backup stays Pending."""
    small_plan(drplan)
    restored = execution("e", "p")
    restored["metadata"]["finalizers"] = [FINALIZER]
    drplan.apply(restored)
    drplan.wait(lambda: drplan.status("e").get("phase") == "Pending")
    drplan.kubectl("delete", "drpe", "e", "--timeout=30s")
    status = drplan.wait_unlocked("p")
    record = record_of(drplan, "e")
    assert record["phase"] == "Cancelled"
    assert record["completionTime"]
    assert "lastExecutionRef" not in status
    assert drplan.site.count(f"/{drplan.namespace}/") == {}
    drplan.run("next", "p")


def test_h4_record_of_a_finished_execution_outlives_it(drplan: Installation) -> None:
    small_plan(drplan)
    drplan.run("run", "p")
    before = drplan.wait_unlocked("p")
    drplan.kubectl("delete", "drpe", "run", "--timeout=30s")
    assert not drplan.exists("drpe", "run")
    assert drplan.plan_status("p") == before
    assert record_of(drplan, "run")["phase"] == "Succeeded"


def test_h4_finalizer_comes_back_at_the_next_reconcile(drplan: Installation) -> None:
    small_plan(drplan)
    drplan.run("run", "p")
    drplan.wait_unlocked("p")
    assert drplan.get("drpe", "run")["metadata"]["finalizers"] == [FINALIZER]
    drplan.kubectl("patch", "drpe", "run", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    drplan.wait(lambda: drplan.get("drpe", "run")["metadata"].get("finalizers") == [FINALIZER])
    drplan.kubectl("delete", "drpe", "run", "--timeout=30s")
    assert record_of(drplan, "run")["phase"] == "Succeeded"
    assert len(drplan.site.calls(f"/{drplan.namespace}/p")) == 1


def test_h5_eleven_runs_leave_ten_records(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    drplan.apply(workflow("w", [undone_by_http("switch", f"{url}/switch")]), plan("p", [stage("only", "w")]))
    wait_valid(drplan, "p")
    names = []
    for number in range(5):
        for obj in (execution(f"e{number}", "p"), revert(f"r{number}", "p", f"e{number}")):
            _create_and_wait(drplan, obj)
            names.append(obj["metadata"]["name"])
    _create_and_wait(drplan, execution("last", "p"))
    records = records_of(drplan)
    assert [record["name"] for record in records] == ["last", *reversed(names[1:])]
    assert {record["phase"] for record in records} == {"Succeeded"}
    assert drplan.exists("drpe", names[0])


def _create_and_wait(drplan: Installation, obj: dict[str, Any]) -> None:
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions"
    drplan.cluster.api.request("POST", path, obj)
    drplan.wait_phase(obj["metadata"]["name"], "Succeeded")
    drplan.wait_unlocked("p")
