"""Reverting when objects of the run were deleted by hand: what is said, what goes on, what a second Revert does
(decisions R1, R2a, R5, R6, R7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import action_of, create, events_of, merge, names, remove, stage_of
from tests.support.installation import (
    Installation,
    actions_of,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Answer

NOT_FOUND = "not found (deleted outside this plan)"


def _ran(drplan: Installation) -> None:
    """Two stages: `one` (workflow a: a1, a2; workflow b: b1, b2), `two` (c1). Then a2 and b2 are deleted by hand."""
    ns = drplan.namespace
    members = {"a": ("a1", "a2"), "b": ("b1", "b2"), "c": ("c1",)}
    create(
        drplan,
        *(workflow(name, [config_map_action(item, item, ns) for item in items]) for name, items in members.items()),
        plan("p", [stage("one", "a", "b"), stage("two", "c")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    for name in ("a2", "b2"):
        remove(drplan, "ConfigMap", name, api_version="v1")


def _told(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {action["name"]: (action["phase"], action["message"]) for action in actions_of(status)}


def _deleted(ns: str, name: str) -> tuple[str, str]:
    return "Succeeded", f"Rolled back: deleted resource ConfigMap {ns}/{name}"


def test_stops_at_the_first_failure_and_a_second_revert_continues(drplan: Installation) -> None:
    _ran(drplan)
    ns = drplan.namespace
    first = drplan.take_back("r1", "p", "e", "Failed")
    failure = f"Failed to delete ConfigMap {ns}/b2: {NOT_FOUND}"
    told = _told(first)
    assert list(told) == ["c1", "b2", "b1", "a2", "a1"], "in the order of the work"
    assert told["c1"] == _deleted(ns, "c1")
    assert told["b2"] == ("Failed", failure)
    for name in ("b1", "a2", "a1"):
        phase, message = told[name]
        assert (phase, message.startswith("Not started: ")) == ("Skipped", True)
    assert first["message"] == (
        f"Failed to revert stage one: failed to revert workflow {ns}/b: failed to rollback action b2: {failure}"
    )
    assert names(first["stageStatuses"]) == ["two", "one"]
    one = stage_of(first, "one")
    assert (one["phase"], one["message"]) == ("Failed", f"Failed to revert workflow {ns}/b")
    used = {item["workflowRef"]["name"]: item for item in one["workflowExecutions"]}
    assert list(used) == ["b", "a"]
    assert (used["b"]["phase"], used["b"]["message"]) == ("Failed", "Failed to rollback action b2")
    assert used["b"]["progress"] == "0/2 actions rolled back"
    assert used["a"]["phase"] == "Skipped"
    check_summary(first)
    assert all(drplan.exists("cm", name) for name in ("a1", "b1"))
    failed = ("Warning", "RevertFailed", f"Revert failed: {first['message']}")
    drplan.wait(lambda: failed in events_of(drplan, "r1"), message="no event tells that the Revert failed")

    drplan.wait_unlocked("p")
    target = drplan.status("e")
    assert action_of(target, "c1")["rolledBackBy"] == "r1"
    assert "revertedBy" not in target
    assert target["phase"] == "Succeeded", "what ran is not overwritten"

    second = drplan.take_back("r2", "p", "e", revertOptions={"missingResources": "Ignore"})
    told = _told(second)
    assert told["c1"] == ("Skipped", "already rolled back by r1")
    for name in ("a1", "b1"):
        assert told[name] == _deleted(ns, name)
    for name in ("a2", "b2"):
        assert told[name] == ("Succeeded", f"Rolled back: resource ConfigMap {ns}/{name} was already gone")
    check_summary(second)
    drplan.wait_unlocked("p")
    target = drplan.status("e")
    assert target["revertedBy"] == "r2"
    assert {action["name"]: action["rolledBackBy"] for action in actions_of(target)} == {
        "a1": "r2", "a2": "r2", "b1": "r2", "b2": "r2", "c1": "r1",
    }  # fmt: skip
    answer = drplan.cluster.kubectl(
        "create", "-f", "-", stdin=revert("r3", "p", "e"), namespace=drplan.namespace, check=False
    )
    assert answer.rc == 1
    assert f"execution {ns}/e was already reverted by r2" in answer.stderr


def test_goes_on_after_failures_when_told_so(drplan: Installation) -> None:
    _ran(drplan)
    ns = drplan.namespace
    status = drplan.take_back("r", "p", "e", "Failed", revertOptions={"failurePolicy": "Continue"})
    told = _told(status)
    assert {name: phase for name, (phase, _) in told.items()} == {
        "c1": "Succeeded", "b2": "Failed", "b1": "Succeeded", "a2": "Failed", "a1": "Succeeded",
    }  # fmt: skip
    for name in ("a2", "b2"):
        assert told[name][1] == f"Failed to delete ConfigMap {ns}/{name}: {NOT_FOUND}"
    assert status["summary"]["succeededActions"] == 3
    assert status["summary"]["failedActions"] == 2
    check_summary(status)
    assert not any(drplan.exists("cm", name) for name in ("a1", "b1", "c1"))
    again = drplan.take_back("r2", "p", "e", revertOptions={"missingResources": "Ignore"})
    assert [action["name"] for action in actions_of(again) if action["phase"] == "Succeeded"] == ["b2", "a2"]


@pytest.mark.parametrize("policy", ["Stop", "Continue"])
def test_missing_objects_can_be_ignored(drplan: Installation, policy: str) -> None:
    _ran(drplan)
    options = {"missingResources": "Ignore", "failurePolicy": policy}
    status = drplan.take_back("r", "p", "e", revertOptions=options)
    assert set(phases_of(status).values()) == {"Succeeded"}
    assert status["message"] == (
        "Plan reverted successfully: 2 stage(s) rolled back, 5 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )


def test_object_made_again_by_somebody_else_is_left_alone(drplan: Installation) -> None:
    ns = drplan.namespace
    create(
        drplan,
        workflow("w", [config_map_action("a", "thing", ns)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    remove(drplan, "ConfigMap", "thing", api_version="v1")
    drplan.kubectl("create", "configmap", "thing", "--from-literal=mine=yes")
    status = drplan.take_back("r", "p", "e", "Failed")
    assert "deleted and created again outside this plan" in action_of(status, "a")["message"]
    assert drplan.get("cm", "thing")["data"] == {"mine": "yes"}


def test_what_others_changed_since_stays_and_a_collision_waits_for_a_decision(drplan: Installation) -> None:
    ns = drplan.namespace
    drplan.kubectl("create", "configmap", "plain", "--from-literal=by=before")
    drplan.kubectl("create", "configmap", "both", "--from-literal=by=before")
    actions = [config_map_action(name, name, ns, operation="Apply") for name in ("plain", "both")]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    for name in ("plain", "both"):
        drplan.kubectl("label", "cm", name, "theirs=1")
        drplan.kubectl("patch", "cm", name, "--type=merge", "-p", '{"data":{"replicas":"7"}}')
    drplan.kubectl("patch", "cm", "both", "--type=merge", "-p", '{"data":{"by":"them"}}')
    options = {"failurePolicy": "Continue"}
    failed = drplan.take_back("r1", "p", "e", "Failed", revertOptions=options)
    restored, collided = action_of(failed, "plain"), action_of(failed, "both")
    assert restored["message"] == f"Rolled back: restored resource ConfigMap {ns}/plain"
    assert "conflicts" not in restored
    assert drplan.get("cm", "plain")["data"] == {"by": "before", "replicas": "7"}
    assert drplan.get("cm", "plain")["metadata"]["labels"] == {"theirs": "1"}
    assert collided["phase"] == "Failed"
    assert collided["conflicts"] == [
        {
            "object": f"ConfigMap {ns}/both",
            "path": "data.by",
            "was": '"before"',
            "wrote": '"both"',
            "now": '"them"',
            "changedBy": "kubectl-patch",
        }
    ]
    assert "spec.revertOptions.conflicts: Keep" in collided["message"]
    assert drplan.get("cm", "both")["data"] == {"by": "them", "replicas": "7"}
    drplan.wait_unlocked("p")
    kept = drplan.take_back("r2", "p", "e", revertOptions={"conflicts": "Keep"})
    assert action_of(kept, "plain")["phase"] == "Skipped"
    assert action_of(kept, "both")["conflicts"] == collided["conflicts"]
    assert drplan.get("cm", "both")["data"] == {"by": "them", "replicas": "7"}
    assert drplan.get("cm", "both")["metadata"]["labels"] == {"theirs": "1"}


def test_object_that_a_later_action_of_the_run_deleted_is_no_failure(drplan: Installation) -> None:
    ns = drplan.namespace
    actions = [
        config_map_action("make", "scratch", ns),
        config_map_action("drop", "scratch", ns, operation="Delete"),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    status = drplan.take_back("r", "p", "e")
    assert _told(status) == {
        "drop": ("Skipped", "No automatic rollback for Delete operation"),
        "make": ("Succeeded", f"Rolled back: resource ConfigMap {ns}/scratch was already gone"),
    }


def test_what_the_run_made_after_it_deleted_is_missed(drplan: Installation) -> None:
    """Of one name: one that the run found and deleted, one that it made after that, which somebody deleted by hand."""
    ns = drplan.namespace
    create(drplan, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "thing"}})
    actions = [
        config_map_action("drop", "thing", ns, operation="Delete"),
        config_map_action("make", "thing", ns),
        config_map_action("drop-again", "thing", ns, operation="Delete"),
        config_map_action("make-again", "thing", ns),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    remove(drplan, "ConfigMap", "thing", api_version="v1")
    told = _told(drplan.take_back("r", "p", "e", "Failed", revertOptions={"failurePolicy": "Continue"}))
    assert told["make-again"] == ("Failed", f"Failed to delete ConfigMap {ns}/thing: {NOT_FOUND}")
    assert told["make"] == ("Succeeded", f"Rolled back: resource ConfigMap {ns}/thing was already gone")


def test_failed_and_cancelled_runs_are_taken_back_as_far_as_they_went(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"/{ns}/slow")
    create(
        drplan,
        workflow(
            "w",
            [
                config_map_action("made", "made-by-$(executionName)", ns),
                http_action("slow", f"{url}/slow"),
                http_action("fails", f"{url}/fails", retryPolicy={"limit": 0}),
                config_map_action("never", "never", ns),
            ],
        ),
        plan("p", [stage("s", "w"), stage("t", "w")]),
        execution("cancelled", "p"),
    )
    drplan.site.wait_for(f"/{ns}/slow")
    annotation = {"metadata": {"annotations": {"dr.bkbcs.tencent.com/cancel": "true"}}}
    merge(drplan, "DRPlanExecution", "cancelled", annotation)
    drplan.wait(lambda: "CancelRequested" in str(drplan.status("cancelled").get("conditions")))
    drplan.site.let_go(f"/{ns}/slow")
    drplan.wait_phase("cancelled", "Cancelled")
    drplan.wait_unlocked("p")
    status = drplan.take_back("r1", "p", "cancelled")
    [t, s] = status["stageStatuses"]
    assert (t["phase"], t["message"]) == ("Skipped", "Original stage phase was Skipped, skipped rollback")
    told = {
        action["name"]: (action["phase"], action["message"]) for action in s["workflowExecutions"][0]["actionStatuses"]
    }
    assert told == {
        "never": ("Skipped", "Original action phase was Skipped, skipped rollback"),
        "fails": ("Skipped", "Original action phase was Skipped, skipped rollback"),
        "slow": ("Skipped", "No rollback defined for HTTP action"),
        "made": ("Succeeded", f"Rolled back: deleted resource ConfigMap {ns}/made-by-cancelled"),
    }
    assert status["message"] == (
        "Plan reverted successfully: 1 stage(s) rolled back, 1 action(s) rolled back, 1 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    check_summary(status)

    drplan.wait_unlocked("p")
    drplan.site.script(f"/{ns}/fails", Answer(status=500))
    create(drplan, execution("failed", "p"))
    drplan.wait_phase("failed", "Failed")
    drplan.wait_unlocked("p")
    status = drplan.take_back("r2", "p", "failed")
    assert [action["phase"] for action in actions_of(status)] == ["Skipped"] * 7 + ["Succeeded"]
    assert actions_of(status)[5]["message"] == "Original action phase was Failed, skipped rollback"
    assert not drplan.exists("cm", "made-by-failed")
