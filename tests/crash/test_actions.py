"""Crashes around one action: intent, effect, result, status, retry, cancel (invariants 1 to 3 and 8)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.crash.harness import Crashing, key_of
from tests.support.installation import (
    actions_of,
    config_map_action,
    execution,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.proxy import hold, request_to
from tests.support.site import Answer

ALL_SUCCEEDED = {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}


def prepare(drplan: Crashing, *middle: dict[str, Any]) -> None:
    """A plan with the HTTP actions a and c, and between them `middle`, which is called b."""
    between = middle or (config_map_action("b", "marker", drplan.namespace),)
    drplan.create(workflow("w", [drplan.http("a"), *between, drplan.http("c")]), plan("p", [stage("s", "w")]))


def action(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in actions_of(status) if item["name"] == name)


def test_intent_of_a_call_committed_and_the_call_not_begun(drplan: Crashing) -> None:
    prepare(drplan)
    rule = drplan.killed_after(drplan.entry("ActionStarted", "e", 0, 0, 2))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    assert drplan.calls() == {"a": 1}
    marker = drplan.uid("cm", "marker")
    drplan.restart()
    status = drplan.ended("e")
    assert phases_of(status) == ALL_SUCCEEDED
    assert drplan.calls() == {"a": 1, "c": 1}
    assert drplan.uid("cm", "marker") == marker
    assert action(status, "c")["attempt"] == 1


def test_intent_of_an_object_committed_and_the_object_not_made(drplan: Crashing) -> None:
    prepare(drplan)
    rule = drplan.killed_after(drplan.entry("ActionStarted", "e", 0, 0, 1))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    assert not drplan.exists("cm", "marker")
    drplan.restart()
    status = drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1}
    assert action(status, "b")["outputs"]["resourceRef"]["uid"] == drplan.uid("cm", "marker")


def test_intent_not_committed_means_no_effect(drplan: Crashing) -> None:
    prepare(drplan)
    rule = drplan.killed_before(drplan.entry("ActionStarted", "e", 0, 0, 0))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    assert drplan.calls() == {}
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1}


def test_call_that_arrived_is_sent_again_under_the_same_key(drplan: Crashing) -> None:
    prepare(drplan)
    drplan.site.hold(drplan.path("c"))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("c"))
    drplan.controller.kill9()
    drplan.site.let_go(drplan.path("c"))
    drplan.restart()
    status = drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 2}
    keys = [key_of(call) for call in drplan.site.calls(drplan.path("c"))]
    assert keys == [f"{drplan.uid('drpe', 'e')}/s/0/c"] * 2
    assert action(status, "c")["attempt"] == 1


def test_answered_call_whose_result_was_not_committed(drplan: Crashing) -> None:
    prepare(drplan)
    rule = drplan.killed_before(drplan.entry("ActionFinished", "e", 0, 0, 2))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 2}
    assert len({key_of(call) for call in drplan.site.calls(drplan.path("c"))}) == 1


def test_created_object_is_adopted(drplan: Crashing) -> None:
    prepare(drplan)
    rule = drplan.killed_after(request_to("POST", f"/{drplan.namespace}/configmaps"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    marker = drplan.uid("cm", "marker")
    drplan.restart()
    status = drplan.ended("e")
    assert drplan.uid("cm", "marker") == marker == action(status, "b")["outputs"]["resourceRef"]["uid"]
    assert drplan.calls() == {"a": 1, "c": 1}


def test_created_job_is_adopted(drplan: Crashing) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]}
    prepare(drplan, {"name": "b", "type": "Job", "job": {
        "namespace": drplan.namespace, "template": {"spec": {"template": {"spec": pod}}}}})  # fmt: skip
    jobs = f"/apis/batch/v1/namespaces/{drplan.namespace}/jobs"
    rule = drplan.killed_after(request_to("POST", f"/{drplan.namespace}/jobs"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    [job] = drplan.cluster.api.get(jobs)["items"]
    drplan.restart()
    drplan.proxy.on(request_to("POST", f"/{drplan.namespace}/jobs"), hold).release()
    drplan.wait(lambda: len(drplan.proxy.exchanges(request_to("POST", f"/{drplan.namespace}/jobs"))) > 1)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
    ended = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": done, "uncountedTerminatedPods": {}}
    drplan.merge(f"{jobs}/{job['metadata']['name']}/status", {"status": ended})
    status = drplan.ended("e")
    assert [item["metadata"]["uid"] for item in drplan.cluster.api.get(jobs)["items"]] == [job["metadata"]["uid"]]
    assert action(status, "b")["outputs"]["jobRef"]["uid"] == job["metadata"]["uid"]
    assert drplan.calls() == {"a": 1, "c": 1}


@pytest.mark.parametrize("operation", ["Apply", "Patch"])
def test_changed_object_keeps_its_prior_state(drplan: Crashing, operation: str) -> None:
    before = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "marker"}, "data": {"by": "hand", "x": "1"}}
    drplan.create(before)
    body = config_map_action("b", "marker", drplan.namespace, operation)
    if operation == "Patch":
        body["rollback"] = {**config_map_action("b", "marker", drplan.namespace, "Patch"), "name": "back"}
        body["rollback"]["resource"]["manifest"] = body["resource"]["manifest"].replace("by: b", "by: hand")
    prepare(drplan, body)
    rule = drplan.killed_after(request_to("PATCH", f"/{drplan.namespace}/configmaps/marker"))
    marker = drplan.uid("cm", "marker")
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.restart()
    drplan.ended("e")
    assert drplan.get("cm", "marker")["data"] == {"by": "b", "x": "1"}
    assert drplan.uid("cm", "marker") == marker
    assert drplan.calls() == {"a": 1, "c": 1}
    drplan.create(revert("r", "p", "e"))
    drplan.ended("r")
    assert drplan.get("cm", "marker")["data"] == {"by": "hand", "x": "1"}
    assert drplan.uid("cm", "marker") == marker


def test_deleted_object_counts_as_deleted(drplan: Crashing) -> None:
    drplan.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "marker"}})
    prepare(drplan, config_map_action("b", "marker", drplan.namespace, "Delete"))
    rule = drplan.killed_after(request_to("DELETE", f"/{drplan.namespace}/configmaps/marker"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}})
    drplan.restart()
    assert phases_of(drplan.ended("e")) == ALL_SUCCEEDED
    assert not drplan.exists("cm", "marker")


def test_results_committed_and_no_status_written(drplan: Crashing) -> None:
    prepare(drplan)
    later = drplan.execution_status("e", lambda status: status.get("journalSequence", 0) > 0)
    drplan.proxy.on(later, hold, times=None)
    rule = drplan.killed_after(drplan.entry("ActionFinished", "e", 0, 0, 1))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    # what a killed process had sent does not arrive later
    assert drplan.status("e").get("journalSequence", 0) == 0
    assert set(phases_of(drplan.status("e")).values()) == {"Pending"}
    marker = drplan.uid("cm", "marker")
    drplan.restart()
    status = drplan.ended("e")
    assert phases_of(status) == ALL_SUCCEEDED
    assert drplan.calls() == {"a": 1, "c": 1}
    assert drplan.uid("cm", "marker") == marker
    assert all("startTime" in item and "completionTime" in item for item in actions_of(status))


def test_time_of_a_retry_survives(drplan: Crashing) -> None:
    drplan.site.script(drplan.path("b"), Answer(503), Answer(200))
    prepare(drplan, drplan.http("b", retryPolicy={"limit": 2, "interval": "12s", "backoffMultiplier": "1.0"}))
    failed = drplan.entry("AttemptFailed", "e", 0, 0, 1)
    rule = drplan.killed_after(failed)
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    [request] = drplan.proxy.accepted(failed, since=drplan.since)
    not_before = next(e["notBefore"] for e in request.entries if e["e"] == "AttemptFailed" and e["n"] == "e") / 1e6
    drplan.restart()
    status = drplan.wait(lambda: _waiting(drplan), 30.0, "the wait for the retry is not shown")
    shown = datetime.fromisoformat(action(status, "b")["nextAttemptTime"]).timestamp()
    assert int(shown) == int(not_before)
    assert datetime.now(UTC).timestamp() < not_before or drplan.calls()["b"] == 2
    status = drplan.ended("e")
    assert drplan.calls() == {"a": 1, "b": 2, "c": 1}
    assert action(status, "b")["attempt"] == 2
    started = drplan.entry("ActionStarted", "e", 0, 0, 1)
    last = drplan.proxy.accepted(started, since=drplan.since)[-1].entries
    times = [e["t"] / 1e6 for e in last if e["e"] == "ActionStarted" and e["n"] == "e" and e["at"] == [0, 0, 1]]
    assert times[-1] >= not_before


def _waiting(drplan: Crashing) -> dict[str, Any] | None:
    status = drplan.status("e")
    return status if any("nextAttemptTime" in item for item in actions_of(status)) else None


def test_cancel_that_only_the_journal_knows_is_not_undone(drplan: Crashing) -> None:
    prepare(drplan)
    drplan.site.hold(drplan.path("a"))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("a"))
    drplan.wait(lambda: drplan.status("e").get("journalSequence", 0) > 0)

    drplan.proxy.on(drplan.execution_status("e"), hold, times=None)
    rule = drplan.killed_after(drplan.entry("CancelRequested", "e"))
    drplan.cancel("e")
    drplan.crash(rule)
    assert drplan.status("e")["phase"] == "Running"
    drplan.cancel("e", None)
    drplan.site.let_go(drplan.path("a"))
    drplan.restart()
    status = drplan.ended("e", "Cancelled")
    assert phases_of(status) == {"a": "Succeeded", "b": "Skipped", "c": "Skipped"}
    assert drplan.calls() == {"a": 2}
    assert not drplan.exists("cm", "marker")


def test_running_execution_deleted_while_the_controller_is_down(drplan: Crashing) -> None:
    prepare(drplan)
    drplan.site.hold(drplan.path("a"))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("a"))
    drplan.controller.kill9()
    uid = drplan.uid("drpe", "e")
    drplan.remove("e")
    drplan.site.let_go(drplan.path("a"))
    drplan.restart()
    drplan.wait(lambda: not drplan.exists("drpe", "e"), 40.0, "the execution is still there")
    [record] = drplan.plan_status("p")["executionHistory"]
    assert (record["uid"], record["phase"]) == (uid, "Cancelled")
    assert "completionTime" in record
    assert drplan.calls() == {"a": 2}
    assert drplan.stored_for(uid) == []
    assert "currentExecution" not in drplan.plan_status("p")


def test_time_out_that_passed_while_the_controller_was_down(drplan: Crashing) -> None:
    """What was made is found and counts; a call whose answer nobody saw is not sent again after its time."""
    drplan.create(
        workflow("made", [config_map_action("b", "marker", drplan.namespace, timeout="2s")]),
        workflow("sent", [drplan.http("c", timeout="2s")]),
        plan("p", [stage("s", "made")]),
        plan("q", [stage("s", "sent")]),
    )
    drplan.site.hold(drplan.path("c"))
    drplan.create(execution("f", "q"))
    drplan.site.wait_for(drplan.path("c"))
    rule = drplan.killed_after(request_to("POST", f"/{drplan.namespace}/configmaps"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    late = datetime.now(UTC).timestamp() + 2
    marker = drplan.uid("cm", "marker")
    drplan.site.let_go(drplan.path("c"))
    drplan.wait(lambda: datetime.now(UTC).timestamp() > late)
    drplan.restart()
    status = drplan.ended("e")
    assert action(status, "b")["outputs"]["resourceRef"]["uid"] == marker == drplan.uid("cm", "marker")
    status = drplan.ended("f", "Failed", plan="q")
    assert action(status, "c")["message"].startswith("timed out after 2s")
    assert drplan.calls() == {"c": 1}
