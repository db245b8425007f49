"""Crashes before the first action: around snapshot, lock and the first status."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from tests.crash.harness import OWN, Crashing
from tests.support.installation import config_map_action, execution, phases_of, plan, revert, stage, workflow
from tests.support.proxy import Match, request_to

BULK = 500 * 1000
"""Bytes of one incompressible manifest: two of them need a snapshot of two parts."""


def running(drplan: Crashing, name: str) -> Match:
    """The write of the first status of a run."""
    return drplan.execution_status(name, lambda status: status["phase"] == "Running")


def bulky(name: str, drplan: Crashing) -> dict[str, Any]:
    """An action with a manifest that compression cannot make small."""
    action = config_map_action(name, name, drplan.namespace)
    noise = base64.b85encode(random.Random(name).randbytes(BULK * 4 // 5)).decode()
    action["resource"]["manifest"] += f"  noise: {noise!r}\n"
    return action


@pytest.mark.parametrize("written", ["part", "index"])
def test_crash_while_the_snapshot_is_written(drplan: Crashing, written: str) -> None:
    drplan.create(
        workflow("w1", [bulky("one", drplan)]),
        workflow("w2", [bulky("two", drplan), drplan.http("call")]),
        plan("p", [stage("s", "w1", "w2")]),
    )
    creates = request_to("POST", f"/{OWN}/configmaps")
    rule = drplan.killed_after(
        lambda request: (
            creates(request)
            and request.json["metadata"]["name"].startswith("drplan-snapshot-")
            and request.json["metadata"]["name"].endswith("-1") == (written == "part")
        )
    )
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    uid = drplan.uid("drpe", "e")
    index, part = f"drplan-snapshot-{uid}", f"drplan-snapshot-{uid}-1"
    assert drplan.stored_for(uid) == ([part] if written == "part" else [index, part])
    stored = {n: drplan.cluster.api.get(f"/api/v1/namespaces/{OWN}/configmaps/{n}") for n in drplan.stored_for(uid)}

    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"call": 1}
    assert drplan.stored_for(uid) == [index, part]
    if written == "index":  # complete, so it was used again
        for name, old in stored.items():
            assert drplan.cluster.api.get(f"/api/v1/namespaces/{OWN}/configmaps/{name}") == old

    drplan.create(revert("r", "p", "e"))
    drplan.ended("r")
    assert not drplan.exists("cm", "one")
    assert not drplan.exists("cm", "two")


def test_a_complete_snapshot_counts_even_if_the_workflow_was_edited_since(drplan: Crashing) -> None:
    drplan.create(workflow("w", [drplan.http("old")]), plan("p", [stage("s", "w")]))
    rule = drplan.killed_after(request_to("POST", f"/{OWN}/configmaps", "drplan-snapshot-"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.apply(workflow("w", [drplan.http("new")]))
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"old": 1}


def test_the_plan_that_is_locked_is_the_one_that_is_run(drplan: Crashing) -> None:
    """The snapshot is stored beside the lock: a plan that was edited before it was locked needs another one."""
    drplan.create(
        workflow("w", [drplan.http("old")]), workflow("v", [drplan.http("new")]), plan("p", [stage("s", "w")])
    )
    rule = drplan.killed_before(drplan.status_of_plan("p", lambda status: "currentExecution" in status))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.apply(plan("p", [stage("s", "v")]))
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"new": 1}


@pytest.mark.parametrize("moment", ["lock taken", "status not sent", "status stored"])
def test_crash_between_lock_and_first_action(drplan: Crashing, moment: str) -> None:
    drplan.create(
        workflow("w", [drplan.http("a"), config_map_action("b", "marker", drplan.namespace)]),
        plan("p", [stage("s", "w")]),
    )
    locked = drplan.status_of_plan("p", lambda status: "currentExecution" in status)
    match moment:
        case "lock taken":
            rule = drplan.killed_after(locked)
        case "status not sent":
            rule = drplan.killed_before(running(drplan, "e"))
        case _:
            rule = drplan.killed_after(running(drplan, "e"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    assert drplan.plan_status("p")["currentExecution"]["uid"] == drplan.uid("drpe", "e")
    assert drplan.status("e").get("phase", "Pending") == ("Running" if moment == "status stored" else "Pending")
    assert drplan.calls() == {}

    drplan.restart()
    status = drplan.ended("e")
    assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded"}
    assert drplan.calls() == {"a": 1}
    assert drplan.plan_status("p")["lastExecutionRef"] == "e"


def test_cancel_that_comes_while_the_controller_is_down_after_the_lock(drplan: Crashing) -> None:
    drplan.create(workflow("w", [drplan.http("a")]), plan("p", [stage("s", "w")]))
    rule = drplan.killed_before(running(drplan, "e"))
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.cancel("e")
    drplan.restart()
    status = drplan.wait_phase("e", "Cancelled")
    assert "completionTime" in status
    assert drplan.wait_unlocked("p")["executionHistory"][0]["phase"] == "Cancelled"
    assert drplan.calls() == {}
