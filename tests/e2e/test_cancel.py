"""Cancel: at once, for good, and told truthfully, at every moment of a run (invariant 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import (
    CANCEL,
    action_of,
    cancel,
    create,
    events_of,
    merge,
    run_with_a_held_rollback,
    stage_of,
)
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer


@pytest.fixture
def slow(drplan: Installation) -> Installation:
    """A plan whose first action is kept running, with a second one, a second workflow and a second stage behind it."""
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/slow")
    create(
        drplan,
        workflow("w", [http_action("slow", f"{url}/slow"), http_action("next", f"{url}/next")]),
        workflow("v", [http_action("other", f"{url}/other")]),
        plan("p", [stage("one", "w", "v"), stage("two", "v")]),
    )
    return drplan


def _begin(drplan: Installation) -> None:
    create(drplan, execution("e", "p"))
    drplan.site.wait_for(f"/{drplan.namespace}/slow")


def _is_noted(drplan: Installation) -> bool:
    conditions = drplan.status("e").get("conditions", ())
    return any(item["type"] == "Cancelled" and item["reason"] == "CancelRequested" for item in conditions)


def _check_cancelled(drplan: Installation, status: dict[str, Any]) -> None:
    assert (status["phase"], status["message"]) == ("Cancelled", "Execution canceled by user")
    assert status["completionTime"]
    assert [item["phase"] for item in status["stageStatuses"]] == ["Cancelled", "Skipped"]
    assert [item["phase"] for item in stage_of(status, "one")["workflowExecutions"]] == ["Cancelled", "Skipped"]
    [first, second] = stage_of(status, "one")["workflowExecutions"][0]["actionStatuses"]
    assert (first["phase"], first["message"]) == ("Succeeded", "HTTP POST succeeded with status 200")
    assert (second["phase"], second["message"]) == ("Skipped", "Canceled by user")
    assert [item["reason"] for item in (status, *status["stageStatuses"], second)] == ["Cancelled"] * 4
    check_summary(status)
    assert drplan.site.count(f"/{drplan.namespace}/") == {f"/{drplan.namespace}/slow": 1}
    settled = drplan.wait_unlocked("p")
    [record] = settled["executionHistory"]
    assert (record["phase"], record["completionTime"]) == ("Cancelled", status["completionTime"])
    assert "lastExecutionRef" not in settled
    assert settled["phase"] == "Ready"


def test_during_an_action(slow: Installation) -> None:
    """The running action ends and is recorded as it ended; nothing else begins."""
    _begin(slow)
    cancel(slow, "e")
    slow.wait(lambda: _is_noted(slow))
    during = slow.status("e")
    assert during["phase"] == "Running", "not over while an action runs"
    assert {name: action_of(during, name)["phase"] for name in ("slow", "next")} == {
        "slow": "Running",
        "next": "Skipped",
    }
    slow.site.let_go(f"/{slow.namespace}/slow")
    _check_cancelled(slow, slow.wait_phase("e", "Cancelled"))
    slow.wait(lambda: any(reason == "ExecutionCancelled" for _, reason, _ in events_of(slow, "e")))
    assert ("Warning", "ExecutionCancelled", "Execution canceled by user") in events_of(slow, "e")


def test_removing_the_annotation_does_not_undo_it(slow: Installation) -> None:
    _begin(slow)
    cancel(slow, "e")
    slow.wait(lambda: _is_noted(slow))
    merge(slow, "DRPlanExecution", "e", {"metadata": {"annotations": {CANCEL: None}}})
    slow.site.let_go(f"/{slow.namespace}/slow")
    _check_cancelled(slow, slow.wait_phase("e", "Cancelled"))


def test_twice(slow: Installation) -> None:
    _begin(slow)
    for _ in range(2):
        slow.kubectl("annotate", "--overwrite", "drpe", "e", f"{CANCEL}=true")
        slow.wait(lambda: _is_noted(slow))
        merge(slow, "DRPlanExecution", "e", {"metadata": {"annotations": {CANCEL: None}}})
    cancel(slow, "e")
    slow.site.let_go(f"/{slow.namespace}/slow")
    _check_cancelled(slow, slow.wait_phase("e", "Cancelled"))


def test_after_the_end_nothing_changes(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}/x"
    create(drplan, workflow("w", [http_action("x", url)]), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    before_plan, before = drplan.wait_unlocked("p"), drplan.status("e")
    cancel(drplan, "e")
    create(drplan, execution("next", "p"))  # when this one has run, the change of "e" was seen as well
    drplan.wait_phase("next", "Succeeded")
    assert drplan.status("e") == before
    records = drplan.wait_unlocked("p")["executionHistory"]
    assert records[1] == before_plan["executionHistory"][0]


def test_before_the_start_because_the_annotation_is_there_from_the_beginning(slow: Installation) -> None:
    cancelled = execution("e", "p")
    cancelled["metadata"]["annotations"] = {CANCEL: "true"}
    create(slow, cancelled)
    status = slow.wait_phase("e", "Cancelled")
    assert status["message"] == "Execution canceled by user"
    assert status["completionTime"]
    assert "stageStatuses" not in status
    assert not slow.site.calls(prefix=f"/{slow.namespace}/")
    [record] = slow.wait_unlocked("p")["executionHistory"]
    assert (record["name"], record["phase"]) == ("e", "Cancelled")


def test_while_waiting_for_a_retry(drplan: Installation) -> None:
    """The action ends Cancelled at once: the back-off of ten minutes is not waited for, nor the last failure lost."""
    path = f"/{drplan.namespace}/down"
    drplan.site.script(path, Answer(status=503))
    actions = [
        config_map_action("made", "made", drplan.namespace),
        http_action("down", drplan.site.url + path, retryPolicy={"interval": "4m"}),
        http_action("next", drplan.site.url + path),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))

    def waiting() -> bool:
        status = drplan.status("e")
        return bool(status.get("stageStatuses")) and "nextAttemptTime" in action_of(status, "down")

    drplan.wait(waiting)
    cancel(drplan, "e")
    status = drplan.wait_phase("e", "Cancelled")
    assert phases_of(status) == {"made": "Succeeded", "down": "Cancelled", "next": "Skipped"}
    action = action_of(status, "down")
    assert action["message"] == "Canceled by user while waiting for a retry: unexpected status code: 503"
    assert "nextAttemptTime" not in action
    assert len(drplan.site.calls(path)) == 1
    check_summary(status)
    drplan.wait_unlocked("p")


def test_of_a_revert(drplan: Installation) -> None:
    """A cancelled Revert says how far it came; a further one continues."""
    ns = drplan.namespace
    run_with_a_held_rollback(drplan)
    create(drplan, execution("r", "p", "Revert", revertExecutionRef="e"))
    drplan.site.wait_for(f"/{ns}/off")
    cancel(drplan, "r")
    drplan.wait(lambda: "CancelRequested" in str(drplan.status("r").get("conditions")))
    drplan.site.let_go(f"/{ns}/off")
    status = drplan.wait_phase("r", "Cancelled")
    assert phases_of(status) == {"on": "Succeeded", "made": "Skipped"}
    drplan.wait_unlocked("p")
    again = drplan.take_back("r2", "p", "e")
    assert {name: action_of(again, name)["message"] for name in ("on", "made")} == {
        "on": "already rolled back by r",
        "made": f"Rolled back: deleted resource ConfigMap {ns}/made",
    }
    assert len(drplan.site.calls(f"/{ns}/off")) == 1


def test_action_that_times_out_after_the_cancel_is_recorded_as_it_ended(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/slow"
    drplan.site.hold(path)
    actions = [
        http_action("slow", drplan.site.url + path, timeout="3s", retryPolicy={"interval": "10ms"}),
        http_action("next", f"{drplan.site.url}/{drplan.namespace}/next"),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.site.wait_for(path)
    cancel(drplan, "e")
    status = drplan.wait_phase("e", "Cancelled")
    drplan.site.let_go(path)
    assert phases_of(status) == {"slow": "Failed", "next": "Skipped"}
    assert action_of(status, "slow")["message"].startswith("timed out after 3s")
    assert len(drplan.site.calls(path)) == 1
    check_summary(status)
