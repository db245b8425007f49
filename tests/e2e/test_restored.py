"""A hub that was restored from a backup of objects: old executions come back without status, with our finalizer."""

from __future__ import annotations

from typing import Any

from tests.support.installation import Installation, execution, http_action, phases_of, plan, revert, stage, workflow

FINALIZER = "dr.bkbcs.tencent.com/execution-finalizer"
START = "dr.bkbcs.tencent.com/start-restored"
ADOPTED = "dr.bkbcs.tencent.com/adopted-uid"


def restored(run: dict[str, Any]) -> dict[str, Any]:
    """An execution as a backup brings it: marks of the controller on it, no status, another uid."""
    metadata = {**run["metadata"], "finalizers": [FINALIZER], "annotations": {ADOPTED: "uid-of-then"}}
    return {**run, "metadata": metadata}


def parked(drplan: Installation, name: str) -> bool:
    status = drplan.status(name)
    conditions = {item["type"]: (item["status"], item["reason"]) for item in status.get("conditions", ())}
    return status.get("phase") == "Pending" and conditions.get("Suspended") == ("True", "RestoredFromBackup")


def test_old_executions_hold_nothing_and_the_next_failover_just_starts(drplan: Installation) -> None:
    old = [execution("old-1", "p"), execution("old-2", "p"), revert("old-undo", "p", "gone"), execution("of-q", "q")]
    for run in old:  # before their plan: a backup brings kinds in the order of their names
        drplan.apply(restored(run))
    action = http_action("call", f"{drplan.site.url}/{drplan.namespace}/call")
    drplan.apply(
        workflow("w", [action]),
        plan("p", [stage("s", "w")]),
        plan("q", [stage("s", "w")]),
    )
    names = [run["metadata"]["name"] for run in old]
    drplan.wait(lambda: all(parked(drplan, name) for name in names), 30.0, "old executions are not parked")

    drplan.site.hold(f"/{drplan.namespace}/call")
    drplan.apply(execution("now", "p"))
    drplan.site.wait_for(f"/{drplan.namespace}/call")
    drplan.apply(restored(execution("old-3", "p")))  # the restore goes on while the failover runs
    drplan.site.let_go(f"/{drplan.namespace}/call")
    drplan.wait_phase("now", "Succeeded")
    drplan.wait(lambda: parked(drplan, "old-3"), 30.0)
    assert all(parked(drplan, name) for name in names)
    assert drplan.site.count(f"/{drplan.namespace}/") == {f"/{drplan.namespace}/call": 1}

    drplan.kubectl("delete", "drpe", "old-2", "old-undo", "of-q", "--timeout=30s")
    drplan.kubectl("delete", "drp", "q")
    drplan.kubectl("annotate", "drpe", "old-1", f"{START}=true")
    assert phases_of(drplan.wait_phase("old-1", "Succeeded")) == {"call": "Succeeded"}
