"""What others do to the objects of a run while it runs repeats nothing and changes nothing (invariants 4 and 6)."""

from __future__ import annotations

from tests.e2e.support import action_of, create, merge, remove
from tests.support.installation import (
    Installation,
    check_summary,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)


def _begin(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/second")
    actions = [http_action(name, f"{url}/{name}") for name in ("first", "second", "third")]
    create(
        drplan,
        workflow("w", actions),
        workflow("late", [http_action("late", f"{url}/late-then")]),
        plan("p", [stage("s", "w"), stage("t", "late")]),
        execution("e", "p"),
    )
    drplan.site.wait_for(f"{root}/second")


def _end(drplan: Installation) -> dict[str, object]:
    drplan.site.let_go(f"/{drplan.namespace}/second")
    status = drplan.wait_phase("e", "Succeeded")
    assert set(phases_of(status).values()) == {"Succeeded"}
    check_summary(status)
    return status


def _check_each_called_once(drplan: Installation) -> None:
    root = f"/{drplan.namespace}"
    assert drplan.site.count(f"{root}/") == {f"{root}/{name}": 1 for name in ("first", "second", "third", "late-then")}


def test_labels_and_annotations_of_others_stay_and_repeat_nothing(drplan: Installation) -> None:
    _begin(drplan)
    for number in range(5):
        change = {"labels": {"team": f"t{number}"}, "annotations": {"note": f"n{number}"}}
        merge(drplan, "DRPlanExecution", "e", {"metadata": change})
        merge(drplan, "DRPlan", "p", {"metadata": change})
        merge(drplan, "DRWorkflow", "w", {"metadata": change})
    _end(drplan)
    _check_each_called_once(drplan)
    metadata = drplan.get("drpe", "e")["metadata"]
    assert metadata["labels"]["team"] == "t4"
    assert metadata["annotations"]["note"] == "n4"
    drplan.wait_unlocked("p")
    assert drplan.get("drp", "p")["metadata"]["labels"] == {"team": "t4"}


def test_labels_of_ours_that_somebody_removes_come_back(drplan: Installation) -> None:
    _begin(drplan)
    ours = {"dr.bkbcs.tencent.com/plan": None, "dr.bkbcs.tencent.com/operation": None}
    merge(drplan, "DRPlanExecution", "e", {"metadata": {"labels": ours, "finalizers": None}})
    _end(drplan)
    drplan.wait_unlocked("p")
    _check_each_called_once(drplan)

    def restored() -> bool:
        metadata = drplan.get("drpe", "e")["metadata"]
        return metadata.get("labels", {}).get("dr.bkbcs.tencent.com/plan") == "p" and bool(metadata.get("finalizers"))

    drplan.wait(restored)


def test_status_that_somebody_overwrites_is_written_again(drplan: Installation) -> None:
    _begin(drplan)
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions/e/status"
    patch = {"status": {"message": "forged", "stageStatuses": None, "progress": "9/9"}}
    drplan.cluster.api.request("PATCH", path, patch, content_type="application/merge-patch+json")
    status = _end(drplan)
    assert status["message"] == "All stages completed successfully"
    assert status["progress"] == "4/4"
    _check_each_called_once(drplan)


def test_editing_workflow_and_plan_does_not_change_the_run(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    _begin(drplan)
    changed = workflow("late", [http_action("late", f"{url}/late-now"), http_action("more", f"{url}/more")])
    merge(drplan, "DRWorkflow", "late", {"spec": changed["spec"]})
    merge(drplan, "DRPlan", "p", {"spec": plan("p", [stage("s", "w")])["spec"]})
    _end(drplan)
    _check_each_called_once(drplan)
    drplan.wait_unlocked("p")
    drplan.run("next", "p")
    assert len(drplan.status("next")["stageStatuses"]) == 1, "the next run is the new plan"


def test_deleting_a_workflow_of_the_run_does_not_change_it(drplan: Installation) -> None:
    _begin(drplan)
    merge(drplan, "DRPlan", "p", {"spec": plan("p", [stage("s", "w")])["spec"]})
    remove(drplan, "DRWorkflow", "late")
    status = _end(drplan)
    _check_each_called_once(drplan)
    assert action_of(status, "late")["phase"] == "Succeeded"
