"""An execution that comes from a backup waits, until somebody starts or cancels it (decision D9)."""

from __future__ import annotations

from typing import Any

from tests.e2e.support import cancel, create, merge
from tests.support.installation import Installation, execution, http_action, plan, stage, workflow

FINALIZER = "dr.bkbcs.tencent.com/execution-finalizer"
START = "dr.bkbcs.tencent.com/start-restored"


def _restored(drplan: Installation, **annotations: str) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}/x"
    obj: dict[str, Any] = execution("old", "p")
    obj["metadata"] |= {"finalizers": [FINALIZER], "annotations": annotations}
    create(drplan, workflow("w", [http_action("x", url)]), plan("p", [stage("s", "w")]), obj)


def _waits(drplan: Installation) -> None:
    drplan.wait(lambda: "restored from a backup" in drplan.status("old").get("message", ""))
    assert drplan.status("old")["phase"] == "Pending"
    assert "currentExecution" not in drplan.plan_status("p")


def test_it_waits_and_another_execution_may_run(drplan: Installation) -> None:
    _restored(drplan)
    _waits(drplan)
    merge(drplan, "DRPlanExecution", "old", {"metadata": {"labels": {"touched": "yes"}}})
    _waits(drplan)
    assert not drplan.site.calls(prefix=f"/{drplan.namespace}/")


def test_cancel_before_the_start(drplan: Installation) -> None:
    _restored(drplan)
    _waits(drplan)
    cancel(drplan, "old")
    status = drplan.wait_phase("old", "Cancelled")
    assert status["message"] == "Execution canceled by user"
    assert status["completionTime"]
    assert not drplan.site.calls(prefix=f"/{drplan.namespace}/")
    [record] = drplan.wait_unlocked("p")["executionHistory"]
    assert (record["name"], record["phase"], record["completionTime"]) == ("old", "Cancelled", status["completionTime"])
    drplan.run("new", "p")


def test_deletion_before_the_start(drplan: Installation) -> None:
    _restored(drplan)
    _waits(drplan)
    drplan.kubectl("delete", "drpe", "old")
    [record] = drplan.wait_unlocked("p")["executionHistory"]
    assert (record["name"], record["phase"]) == ("old", "Cancelled")
    assert record["completionTime"]


def test_annotation_starts_it(drplan: Installation) -> None:
    _restored(drplan)
    _waits(drplan)
    merge(drplan, "DRPlanExecution", "old", {"metadata": {"annotations": {START: "true"}}})
    drplan.wait_phase("old", "Succeeded")
    assert len(drplan.site.calls(f"/{drplan.namespace}/x")) == 1


def test_annotation_from_the_beginning(drplan: Installation) -> None:
    _restored(drplan, **{START: "true"})
    drplan.wait_phase("old", "Succeeded")
