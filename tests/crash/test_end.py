"""Crashes after the last action: around the final status, the plan's completion, the target's mark, the finalizer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.crash.harness import Crashing
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
from tests.support.proxy import Match, Request


def prepare(drplan: Crashing) -> None:
    drplan.create(
        workflow("w", [drplan.http("a"), config_map_action("b", "marker", drplan.namespace)]),
        plan("p", [stage("s", "w")]),
    )


def final(drplan: Crashing, name: str) -> Match:
    """The write of the last status of a run."""
    return drplan.execution_status(name, lambda status: status["phase"] == "Succeeded")


def completing(drplan: Crashing, name: str) -> Match:
    """The write that completes the plan of the run `name`."""

    def test(status: dict[str, Any]) -> bool:
        records = {record["name"]: record["phase"] for record in status.get("executionHistory", ())}
        return "currentExecution" not in status and records.get(name) == "Succeeded"

    return drplan.status_of_plan("p", test)


@pytest.mark.parametrize(
    ("moment", "stored"),
    [("final not sent", "Running"), ("final stored", "Succeeded"), ("plan not sent", "Succeeded")],
)
def test_crash_between_last_action_and_completed_plan(drplan: Crashing, moment: str, stored: str) -> None:
    prepare(drplan)
    match moment:
        case "final not sent":
            rule = drplan.killed_before(final(drplan, "e"))
        case "final stored":
            rule = drplan.killed_after(final(drplan, "e"))
        case _:
            rule = drplan.killed_before(completing(drplan, "e"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    assert drplan.status("e")["phase"] == stored
    held = drplan.plan_status("p")
    assert held["currentExecution"]["name"] == "e"
    assert [record["phase"] for record in held["executionHistory"]] == ["Running"]
    marker = drplan.uid("cm", "marker")

    drplan.restart()
    status = drplan.ended("e")
    assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded"}
    assert drplan.calls() == {"a": 1}
    assert drplan.uid("cm", "marker") == marker
    done = drplan.plan_status("p")
    assert (done["phase"], done["lastExecutionRef"]) == ("Executed", "e")
    assert done["lastExecutionTime"] == status["completionTime"]


def test_completed_plan_is_completed_once(drplan: Crashing) -> None:
    prepare(drplan)
    rule = drplan.killed_after(completing(drplan, "e"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    done = drplan.plan_status("p")
    drplan.restart()
    drplan.delete(f"/api/v1/namespaces/{drplan.namespace}/configmaps/marker")
    drplan.create(execution("e2", "p"))  # shows that the restarted controller has seen all of it
    drplan.wait_phase("e2", "Failed", "Succeeded", timeout=60.0)
    drplan.wait_unlocked("p")
    records = {record["name"]: record for record in drplan.plan_status("p")["executionHistory"]}
    assert records["e"] == done["executionHistory"][0]
    assert list(records) == ["e2", "e"]
    drplan.ended("e")
    assert drplan.calls() == {"a": 2}  # one of each run


@pytest.mark.parametrize("moment", ["target not sent", "target marked", "plan not sent"])
def test_crash_between_the_end_of_a_revert_and_its_record(drplan: Crashing, moment: str) -> None:
    prepare(drplan)
    drplan.create(execution("e", "p"))
    drplan.ended("e")
    marks = drplan.execution_status("e", lambda status: "revertedBy" in str(status))
    match moment:
        case "target not sent":
            rule = drplan.killed_before(marks)
        case "target marked":
            rule = drplan.killed_after(marks)
        case _:
            rule = drplan.killed_before(completing(drplan, "r"))
    drplan.create(revert("r", "p", "e"))
    drplan.crash(rule)
    assert drplan.status("r")["phase"] == "Succeeded"
    assert drplan.plan_status("p")["currentExecution"]["name"] == "r"

    drplan.restart()
    status = drplan.ended("r")
    assert {item["name"]: item["phase"] for item in actions_of(status)} == {"a": "Skipped", "b": "Succeeded"}
    target = drplan.status("e")
    assert [item.get("rolledBackBy") for item in actions_of(target) if item["name"] == "b"] == ["r"]
    done = drplan.plan_status("p")
    assert done["phase"] == "Ready"
    assert {record["name"]: record.get("revertedBy") for record in done["executionHistory"]} == {"r": None, "e": "r"}
    assert not drplan.exists("cm", "marker")


@pytest.mark.parametrize("moment", ["snapshot left", "finalizer left", "finalizer gone"])
def test_crash_while_an_execution_is_removed(drplan: Crashing, moment: str) -> None:
    prepare(drplan)
    drplan.create(execution("e", "p"))
    drplan.ended("e")
    uid = drplan.uid("drpe", "e")

    def takes_finalizer_off(request: Request) -> bool:
        return (
            request.method == "PATCH"
            and request.path.endswith(f"/{drplan.namespace}/drplanexecutions/e")
            and request.json["metadata"].get("finalizers") == []
        )

    def deletes_snapshot(request: Request) -> bool:
        return request.method == "DELETE" and request.path.endswith(f"drplan-snapshot-{uid}")

    match moment:
        case "snapshot left":
            rule = drplan.killed_before(deletes_snapshot)
        case "finalizer left":
            rule = drplan.killed_before(takes_finalizer_off)
        case _:
            rule = drplan.killed_after(takes_finalizer_off)
    drplan.remove("e")
    drplan.crash(rule)
    assert drplan.exists("drpe", "e") == (moment != "finalizer gone")
    drplan.restart()
    drplan.wait(lambda: not drplan.exists("drpe", "e"), 30.0, "the execution is still there")
    drplan.wait(lambda: drplan.stored_for(uid) == [], 30.0, "its snapshot is still there")
    plan_status = drplan.plan_status("p")
    assert [(r["name"], r["uid"], r["phase"]) for r in plan_status["executionHistory"]] == [("e", uid, "Succeeded")]
    assert plan_status["lastExecutionRef"] == "e"
    drplan.delete(f"/api/v1/namespaces/{drplan.namespace}/configmaps/marker")
    drplan.create(execution("e", "p"))  # the plan is free, the name too
    drplan.ended("e")
