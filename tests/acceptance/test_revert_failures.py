"""AC6 and E2: a Revert that cannot take everything back names what failed and why, and keeps what was done."""

from __future__ import annotations

from tests.acceptance.stories import check_tracked, conditions_of, messages_of, outline, stage_of, undone_by_http
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer


def _plan(drplan: Installation) -> None:
    """Three stages; the second has two workflows, the first of which two actions with a rollback around one."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.apply(
        workflow("first", [config_map_action("first-made", "first", ns)]),
        workflow(
            "middle",
            [
                config_map_action("early", "early", ns),
                undone_by_http("switch", f"{url}/switch"),
                config_map_action("late", "late", ns),
            ],
        ),
        workflow("beside", [config_map_action("aside", "aside", ns)]),
        workflow("last", [config_map_action("last-made", "last", ns), http_action("ping", f"{url}/ping")]),
        plan("p", [stage("one", "first"), stage("two", "middle", "beside"), stage("three", "last")]),
    )
    drplan.run("run", "p")
    drplan.wait_unlocked("p")


def test_ac6_failed_revert_names_stage_workflow_action_and_reason(drplan: Installation) -> None:
    _plan(drplan)
    ns = drplan.namespace
    drplan.site.script(f"/{ns}/switch/undo", Answer(500))
    status = drplan.take_back("undo", "p", "run", "Failed")
    check_tracked(status)
    check_summary(status)
    why = "Custom rollback failed: unexpected status code: 500"
    assert status["message"] == (
        f"Failed to revert stage two: failed to revert workflow {ns}/middle: failed to rollback action switch: {why}"
    )
    assert outline(status) == [
        ("three", [("last", ["ping", "last-made"])]),
        ("two", [("beside", ["aside"]), ("middle", ["late", "switch", "early"])]),
        ("one", [("first", ["first-made"])]),
    ]
    assert phases_of(status) == {
        "ping": "Skipped",
        "last-made": "Succeeded",
        "aside": "Succeeded",
        "late": "Succeeded",
        "switch": "Failed",
        "early": "Skipped",
        "first-made": "Skipped",
    }
    messages = messages_of(status)
    assert messages["switch"] == why
    assert messages["early"].startswith("Not started: ")
    assert '"switch"' in messages["early"]
    assert messages["first-made"].startswith("Not started: ")
    assert '"two"' in messages["first-made"]
    two = stage_of(status, "two")
    assert (two["phase"], two["message"]) == ("Failed", f"Failed to revert workflow {ns}/middle")
    beside, middle = two["workflowExecutions"]
    assert (beside["phase"], beside["message"]) == ("Succeeded", "Workflow reverted successfully")
    assert (middle["phase"], middle["message"]) == ("Failed", "Failed to rollback action switch")
    assert middle["progress"] == "1/3 actions rolled back"
    assert stage_of(status, "three")["message"] == "Stage reverted successfully: 1 workflow(s) rolled back"
    assert stage_of(status, "one")["phase"] == "Skipped"
    assert conditions_of(status)["Failed"] == "True"
    assert conditions_of(status)["Complete"] == "False"
    assert drplan.exists("cm", "early")
    assert drplan.exists("cm", "first")
    assert drplan.wait_unlocked("p")["lastExecutionRef"] == "run"


def test_ac6_a_further_revert_continues_where_it_stopped(drplan: Installation) -> None:
    _plan(drplan)
    ns = drplan.namespace
    drplan.site.script(f"/{ns}/switch/undo", Answer(500), Answer(200))
    drplan.take_back("undo", "p", "run", "Failed")
    drplan.wait_unlocked("p")
    status = drplan.take_back("undo-2", "p", "run")
    check_tracked(status)
    check_summary(status)
    assert messages_of(status) == {
        "ping": "No rollback defined for HTTP action",
        "last-made": "already rolled back by undo",
        "aside": "already rolled back by undo",
        "late": "already rolled back by undo",
        "switch": "Rolled back: executed custom HTTP rollback action",
        "early": f"Rolled back: deleted resource ConfigMap {ns}/early",
        "first-made": f"Rolled back: deleted resource ConfigMap {ns}/first",
    }
    assert drplan.wait_unlocked("p")["phase"] == "Ready"
    assert drplan.status("run")["revertedBy"] == "undo-2"


def test_e2_object_deleted_by_hand_fails_its_action_and_says_so(drplan: Installation) -> None:
    _plan(drplan)
    ns = drplan.namespace
    drplan.kubectl("delete", "configmap", "late")
    status = drplan.take_back("undo", "p", "run", "Failed")
    check_tracked(status)
    check_summary(status)
    why = f"Failed to delete ConfigMap {ns}/late: not found (deleted outside this plan)"
    assert messages_of(status)["late"] == why
    assert status["message"] == (
        f"Failed to revert stage two: failed to revert workflow {ns}/middle: failed to rollback action late: {why}"
    )
    two = stage_of(status, "two")
    assert two["phase"] == "Failed"
    assert [item["phase"] for item in two["workflowExecutions"]] == ["Succeeded", "Failed"]
    assert phases_of(status) == {
        "ping": "Skipped",
        "last-made": "Succeeded",
        "aside": "Succeeded",
        "late": "Failed",
        "switch": "Skipped",
        "early": "Skipped",
        "first-made": "Skipped",
    }
    assert status["summary"] == {
        "totalStages": 3,
        "completedStages": 1,
        "succeededStages": 1,
        "failedStages": 1,
        "skippedStages": 1,
        "totalWorkflows": 4,
        "completedWorkflows": 2,
        "failedWorkflows": 1,
        "skippedWorkflows": 1,
        "totalActions": 7,
        "completedActions": 7,
        "succeededActions": 2,
        "failedActions": 1,
        "skippedActions": 4,
    }
    assert not drplan.exists("cm", "last")
    assert drplan.exists("cm", "early")
    assert drplan.site.calls(f"/{ns}/switch/undo") == []


def test_e2_missing_objects_can_be_ignored_and_failures_passed_over(drplan: Installation) -> None:
    _plan(drplan)
    ns = drplan.namespace
    drplan.kubectl("delete", "configmap", "late")
    goes_on = drplan.take_back("undo", "p", "run", "Failed", revertOptions={"failurePolicy": "Continue"})
    check_tracked(goes_on)
    check_summary(goes_on)
    assert {name for name, phase in phases_of(goes_on).items() if phase == "Succeeded"} == {
        "last-made", "aside", "switch", "early", "first-made",
    }  # fmt: skip
    assert phases_of(goes_on)["late"] == "Failed"
    drplan.wait_unlocked("p")
    ignores = drplan.take_back("undo-2", "p", "run", revertOptions={"missingResources": "Ignore"})
    check_summary(ignores)
    drplan.wait_unlocked("p")
    assert messages_of(ignores)["late"] == f"Rolled back: resource ConfigMap {ns}/late was already gone"
    assert drplan.status("run")["revertedBy"] == "undo-2"
