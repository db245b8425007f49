"""Deleting executions: a running one is cancelled first, its record stays, nothing of it is left behind (H3, H4)."""

from __future__ import annotations

from tests.e2e.support import create, remove, snapshots_of
from tests.support.installation import Installation, config_map_action, execution, http_action, plan, stage, workflow


def _site_plan(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    create(
        drplan,
        workflow("w", [http_action("slow", f"{url}/slow"), http_action("next", f"{url}/next")]),
        plan("p", [stage("s", "w")]),
    )


def test_running_execution_ends_its_action_and_leaves_only_its_record(drplan: Installation) -> None:
    root = f"/{drplan.namespace}"
    _site_plan(drplan)
    drplan.site.hold(f"{root}/slow")
    create(drplan, execution("e", "p"))
    drplan.site.wait_for(f"{root}/slow")
    uid = drplan.get("drpe", "e")["metadata"]["uid"]
    assert snapshots_of(drplan, uid)
    answer = drplan.kubectl("delete", "drpe", "e", "--wait=false")
    assert "Warning" in answer.stderr
    drplan.wait(lambda: "CancelRequested" in str(drplan.status("e").get("conditions")))
    assert drplan.exists("drpe", "e"), "its action is still running"
    assert drplan.plan_status("p")["currentExecution"]["name"] == "e"
    drplan.site.let_go(f"{root}/slow")
    drplan.wait(lambda: not drplan.exists("drpe", "e"))
    settled = drplan.wait_unlocked("p")
    [record] = settled["executionHistory"]
    assert (record["name"], record["uid"], record["phase"]) == ("e", uid, "Cancelled")
    assert record["completionTime"]
    assert drplan.site.count(root) == {f"{root}/slow": 1}
    drplan.wait(lambda: not snapshots_of(drplan, uid), message="the snapshot outlives its execution")
    drplan.run("again", "p")
    assert [item["name"] for item in drplan.wait_unlocked("p")["executionHistory"]] == ["again", "e"]


def test_name_can_be_used_again(drplan: Installation) -> None:
    """Records and locks go by uid, so a second execution of the same name is another one."""
    _site_plan(drplan)
    drplan.run("e", "p")
    first = drplan.wait_unlocked("p")["executionHistory"][0]
    remove(drplan, "DRPlanExecution", "e")
    drplan.wait(lambda: not drplan.exists("drpe", "e"))
    drplan.run("e", "p")
    settled = drplan.wait_unlocked("p")
    assert [(item["name"], item["phase"]) for item in settled["executionHistory"]] == [("e", "Succeeded")] * 2
    assert settled["executionHistory"][0]["uid"] != first["uid"]
    assert settled["executionHistory"][1] == first
    assert len(drplan.site.calls(f"/{drplan.namespace}/slow")) == 2


def test_finished_execution_keeps_its_record_and_what_it_made(drplan: Installation) -> None:
    create(
        drplan,
        workflow("w", [config_map_action("make", "made", drplan.namespace)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    before = drplan.wait_unlocked("p")
    uid = drplan.get("drpe", "e")["metadata"]["uid"]
    drplan.kubectl("delete", "drpe", "e")
    assert drplan.plan_status("p") == before
    assert drplan.exists("cm", "made")
    drplan.wait(lambda: not snapshots_of(drplan, uid))
