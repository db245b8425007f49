"""The journal under a running controller: deleted, touched, kept, swept."""

from __future__ import annotations

import pytest

from tests.crash.harness import OWN, Crashing
from tests.support.installation import (
    FINAL,
    actions_of,
    check_summary,
    config_map_action,
    execution,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.proxy import Answer, Forward, Rule, hold, refuse


def held_run(drplan: Crashing) -> None:
    """A run that stands in its third action c, with a and b only in the journal."""
    drplan.create(
        workflow(
            "w",
            [
                drplan.http("a"),
                config_map_action("b", "marker", drplan.namespace),
                drplan.http("c"),
                drplan.http("d"),
            ],
        ),
        plan("p", [stage("s", "w")]),
    )
    later = drplan.execution_status("e", lambda status: status.get("journalSequence", 0) > 0)
    drplan.proxy.on(later, hold, times=None)
    drplan.site.hold(drplan.path("c"))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("c"))


def entries_of(drplan: Crashing, uid: str) -> str:
    """The journal's lines that are about one run."""
    texts = [segment["data"]["journal"] for segment in drplan.segments()]
    return "\n".join(line for text in texts for line in text.splitlines() if uid in line)


def test_segments_deleted_in_mid_run(drplan: Crashing) -> None:
    held_run(drplan)
    uid = drplan.uid("drpe", "e")
    before = entries_of(drplan, uid)
    assert "ActionFinished" in before
    pid = drplan.controller.pid
    for segment in drplan.segments():
        drplan.delete(f"/api/v1/namespaces/{OWN}/configmaps/{segment['metadata']['name']}")
    drplan.wait(lambda: entries_of(drplan, uid) == before, 20.0, "the entries were not written again")
    assert (drplan.controller.running, drplan.controller.pid) == (True, pid)
    drplan.controller.kill9()  # what was written again is all that is needed
    drplan.site.let_go(drplan.path("c"))
    marker = drplan.uid("cm", "marker")
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 2, "d": 1}
    assert drplan.uid("cm", "marker") == marker


def test_run_goes_on_when_segments_are_deleted(drplan: Crashing) -> None:
    held_run(drplan)
    pid = drplan.controller.pid
    for segment in drplan.segments():
        drplan.delete(f"/api/v1/namespaces/{OWN}/configmaps/{segment['metadata']['name']}")
    drplan.proxy.clear()
    drplan.site.let_go(drplan.path("c"))
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}
    assert (drplan.controller.running, drplan.controller.pid) == (True, pid)


@pytest.mark.parametrize("also_edited", [False, True])
def test_segment_touched_by_somebody(drplan: Crashing, also_edited: bool) -> None:
    """An annotation is harmless; entries that somebody removed are written again."""
    held_run(drplan)
    pid = drplan.controller.pid
    for segment in drplan.segments():
        path = f"/api/v1/namespaces/{OWN}/configmaps/{segment['metadata']['name']}"
        drplan.merge(path, {"metadata": {"annotations": {"touched/by": "somebody"}}})
        if also_edited:
            header = segment["data"]["journal"].splitlines()[0]
            drplan.merge(path, {"data": {"journal": header}})
    drplan.site.let_go(drplan.path("c"))
    drplan.site.wait_for(drplan.path("d"))
    assert entries_of(drplan, drplan.uid("drpe", "e")).count("ActionFinished") >= 3
    drplan.proxy.clear()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 1, "d": 1}
    assert (drplan.controller.running, drplan.controller.pid) == (True, pid)


def test_run_whose_status_cannot_be_written_keeps_its_entries_and_disturbs_nobody(drplan: Crashing) -> None:
    many = [drplan.http(f"x{n:02d}") for n in range(60)]
    drplan.create(
        workflow("stuck", [drplan.http("a"), drplan.http("b"), drplan.http("c")]),
        workflow("many", many),
        plan("p", [stage("s", "stuck")]),
        plan("q", [stage("s", "many")]),
    )
    later = drplan.execution_status("e", lambda status: status.get("journalSequence", 0) > 0)
    rule = drplan.proxy.on(later, refuse(500), times=None)
    drplan.create(execution("e", "p"))
    rule.wait()
    drplan.site.wait_for(drplan.path("c"))
    uid = drplan.uid("drpe", "e")
    first = len(drplan.segments())
    drplan.create(execution("f", "q"))
    drplan.ended("f", plan="q")
    drplan.wait(lambda: entries_of(drplan, uid).count("ActionFinished") == 3)
    assert drplan.status("e")["phase"] == "Running"
    assert len(drplan.segments()) <= first + 3  # the other run's are gone

    drplan.controller.kill9()
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "b": 1, "c": 1, **{f"x{n:02d}": 1 for n in range(60)}}
    drplan.create(execution("g", "q"))  # its entries take the place of the old ones
    drplan.ended("g", plan="q")
    drplan.wait(lambda: len(drplan.segments()) <= 2, 20.0, "covered segments are left")


def test_refused_status_at_the_end_does_not_lock_the_plan(drplan: Crashing) -> None:
    drplan.create(workflow("w", [drplan.http("a"), drplan.http("b")]), plan("p", [stage("s", "w")]))
    whole = drplan.execution_status("e", lambda status: "ok" in str(status.get("stageStatuses")))
    drplan.proxy.on(whole, refuse(422, "Invalid", "status.x: Invalid value"), times=None)
    drplan.create(execution("e", "p"))
    status = drplan.ended("e")
    assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded"}
    assert drplan.calls() == {"a": 1, "b": 1}
    assert not any(item.get("outputs", {}).get("httpResponse", {}).get("body") for item in actions_of(status))

    def reasons() -> list[str]:
        events = drplan.kubectl("get", "events.events.k8s.io", "-o", "json").json()["items"]
        return [event["reason"] for event in events]

    drplan.wait(lambda: "StatusRefused" in reasons())


def test_crash_after_a_status_was_refused_in_mid_run(drplan: Crashing) -> None:
    drplan.create(workflow("w", [drplan.http("a"), drplan.http("b"), drplan.http("c")]), plan("p", [stage("s", "w")]))
    whole = drplan.execution_status("e", lambda status: "ok" in str(status.get("stageStatuses")))
    rule = drplan.proxy.on(whole, refuse(422, "Invalid", "status.x: Invalid value"), times=None)
    drplan.site.hold(drplan.path("b"))
    drplan.create(execution("e", "p"))
    rule.wait()
    drplan.wait(lambda: phases_of(drplan.status("e"))["a"] == "Succeeded")
    drplan.site.wait_for(drplan.path("b"))
    drplan.controller.kill9()
    drplan.site.let_go(drplan.path("b"))
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "b": 2, "c": 1}


def test_run_that_breaks_off_is_taken_up_from_what_the_journal_holds(drplan: Crashing) -> None:
    """An answer that makes no sense ends the run, not the process; a and b are known to the journal alone."""
    drplan.create(
        workflow(
            "w",
            [drplan.http("a"), config_map_action("b", "marker", drplan.namespace), drplan.http("c"), drplan.http("d")],
        ),
        plan("p", [stage("s", "w")]),
    )
    pid = drplan.controller.pid

    async def nonsense(rule: Rule, forward: Forward) -> Answer:
        await rule.held()
        rule.done()
        return Answer(200, {"Content-Type": "application/json"}, b'{"kind": "DRPlanExecution"}')

    later = drplan.execution_status("e", lambda status: status.get("journalSequence", 0) > 0)
    rule = drplan.proxy.on(later, nonsense)
    drplan.site.hold(drplan.path("c"))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("c"))
    assert drplan.status("e").get("journalSequence", 0) == 0
    marker = drplan.uid("cm", "marker")
    rule.release()
    drplan.wait(lambda: "run broke off" in drplan.controller.log.read_text(), 20.0)
    drplan.site.let_go(drplan.path("c"))
    status = drplan.ended("e")
    assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded", "d": "Succeeded"}
    assert drplan.calls() == {"a": 1, "c": 2, "d": 1}
    assert drplan.uid("cm", "marker") == marker
    assert (drplan.controller.running, drplan.controller.pid) == (True, pid)


def test_sweep_at_start_removes_strays_only(drplan: Crashing) -> None:
    drplan.create(
        workflow("w", [config_map_action("b", "marker", drplan.namespace)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.ended("e")
    uid = drplan.uid("drpe", "e")
    [live] = drplan.own_config_maps(f"dr.bkbcs.tencent.com/execution-uid={uid}")
    strays = {"00000000-0000-0000-0000-000000000001": "gone", "00000000-0000-0000-0000-000000000002": "e"}
    for stray, name in strays.items():
        metadata = {**live["metadata"], "name": f"drplan-snapshot-{stray}"}
        metadata["labels"] = {**metadata["labels"], "dr.bkbcs.tencent.com/execution-uid": stray}
        metadata["annotations"] = {"dr.bkbcs.tencent.com/execution": f"{drplan.namespace}/{name}"}
        for member in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            metadata.pop(member, None)
        body = {**live, "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        drplan.cluster.api.request("POST", f"/api/v1/namespaces/{OWN}/configmaps", body)
    drplan.controller.kill9()
    drplan.restart()
    drplan.wait(lambda: not any(map(drplan.stored_for, strays)), 30.0, "a stray is left")
    assert drplan.stored_for(uid) == [f"drplan-snapshot-{uid}"]
    drplan.create(revert("r", "p", "e"))
    drplan.ended("r")
    assert not drplan.exists("cm", "marker")


def test_execution_removed_by_force_while_the_controller_is_down(drplan: Crashing) -> None:
    held_run(drplan)
    uid = drplan.uid("drpe", "e")
    drplan.controller.kill9()
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions/e"
    drplan.merge(path, {"metadata": {"finalizers": None}})
    drplan.delete(path)
    drplan.site.let_go(drplan.path("c"))
    drplan.restart()
    drplan.wait(lambda: drplan.stored_for(uid) == [], 30.0, "its snapshot is left")
    drplan.wait(lambda: "currentExecution" not in drplan.plan_status("p"), 30.0, "its lock is left")
    drplan.delete(f"/api/v1/namespaces/{drplan.namespace}/configmaps/marker")
    drplan.create(execution("e", "p"))
    check_summary(drplan.ended("e"))
    assert drplan.calls() == {"a": 2, "c": 2, "d": 1}
    assert {record["phase"] for record in drplan.plan_status("p")["executionHistory"]} <= set(FINAL)
