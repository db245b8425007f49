"""Executions of one plan that are created at the same moment."""

from __future__ import annotations

from tests.e2e.support import create
from tests.support.installation import Installation, http_action, plan, stage, workflow

RIVALS = 6


def check_only_one_ran(drplan: Installation, names: list[str]) -> None:
    """Exactly one of the executions that exist runs; the others failed with the text of E20, and say nothing else."""
    root = f"/{drplan.namespace}"
    drplan.site.wait_for(f"{root}/x")
    holder = drplan.wait(lambda: drplan.plan_status("p").get("currentExecution"))["name"]
    text = f"plan p already has a running execution: {drplan.namespace}/{holder}"
    for name in names:
        if name != holder:
            status = drplan.wait_phase(name, "Failed")
            assert status["message"] == text
            assert "stageStatuses" not in status
    assert drplan.status(holder)["phase"] == "Running"
    drplan.site.let_go(f"{root}/x")
    drplan.wait_phase(holder, "Succeeded")
    assert len(drplan.site.calls(f"{root}/x")) == 1
    settled = drplan.wait_unlocked("p")
    assert settled["lastExecutionRef"] == holder
    phases = {record["name"]: record["phase"] for record in settled["executionHistory"]}
    assert phases == {name: "Succeeded" if name == holder else "Failed" for name in names}


def held_plan(drplan: Installation) -> None:
    """A validated plan `p` whose only action waits."""
    root = f"/{drplan.namespace}"
    drplan.site.hold(f"{root}/x")
    create(
        drplan,
        workflow("w", [http_action("x", f"{drplan.site.url}{root}/x")]),
        plan("p", [stage("s", "w")]),
    )
    drplan.wait(lambda: drplan.plan_status("p").get("phase") == "Ready")
