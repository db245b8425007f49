"""Objects that are taken away under a running execution: by force, with their namespace, past admission."""

from __future__ import annotations

import pytest

from tests.e2e.support import create, merge, remove, snapshots_of
from tests.support.installation import Installation, execution, http_action, plan, stage, workflow


def _begin(drplan: Installation) -> str:
    """Start a run whose first action waits; return the execution's uid."""
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/slow")
    create(
        drplan,
        workflow("w", [http_action(name, f"{url}/{name}") for name in ("slow", "next")]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.site.wait_for(f"{root}/slow")
    return str(drplan.get("drpe", "e")["metadata"]["uid"])


def test_execution_removed_by_force(drplan: Installation) -> None:
    """Somebody takes our finalizer off and deletes: nothing more is started, the plan is free, the record says so."""
    uid = _begin(drplan)
    root = f"/{drplan.namespace}"
    drplan.kubectl("delete", "drpe", "e", "--wait=false")
    merge(drplan, "DRPlanExecution", "e", {"metadata": {"finalizers": None}})
    drplan.wait(lambda: not drplan.exists("drpe", "e"))
    create(drplan, execution("early", "p"))
    refused = drplan.wait_phase("early", "Failed")
    assert refused["message"] == f"plan p already has a running execution: {drplan.namespace}/e", (
        "its action still runs"
    )
    drplan.site.let_go(f"{root}/slow")
    settled = drplan.wait_unlocked("p")
    [record] = [record for record in settled["executionHistory"] if record["uid"] == uid]
    assert record["phase"] == "Cancelled"
    assert record["completionTime"]
    drplan.wait(lambda: not snapshots_of(drplan, uid), message="the snapshot of the removed run stays")
    assert not drplan.site.calls(f"{root}/next")
    drplan.run("again", "p")
    assert len(drplan.site.calls(f"{root}/next")) == 1


def test_plan_deleted_past_admission(unguarded: Installation) -> None:
    """The run has its snapshot: it ends as it would have, and others are not troubled."""
    _begin(unguarded)
    remove(unguarded, "DRPlan", "p")
    unguarded.site.let_go(f"/{unguarded.namespace}/slow")
    status = unguarded.wait_phase("e", "Succeeded")
    assert status["progress"] == "2/2"
    unguarded.kubectl("delete", "drpe", "e", "--timeout=20s")
    create(unguarded, plan("p", [stage("s", "w")]))
    unguarded.run("again", "p")


@pytest.mark.full
def test_namespace_deleted_in_mid_run(full_drplan: Installation) -> None:
    """The running action ends, nothing else begins, and the namespace goes."""
    ns = full_drplan.namespace
    uid = _begin(full_drplan)
    full_drplan.kubectl("delete", "namespace", ns, "--wait=false")
    full_drplan.wait(lambda: "deletionTimestamp" in full_drplan.get("drpe", "e")["metadata"])
    full_drplan.site.let_go(f"/{ns}/slow")
    path = f"/api/v1/namespaces/{ns}"
    full_drplan.wait(lambda: full_drplan.cluster.api.raw("GET", path)[0] == 404, timeout=60)
    assert not full_drplan.site.calls(f"/{ns}/next")
    full_drplan.wait(lambda: not snapshots_of(full_drplan, uid))
