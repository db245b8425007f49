"""A run in which everything works, from kubectl apply to the record."""

from __future__ import annotations

from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)


def test_workflow_plan_and_execution_in_one_apply(drplan: Installation) -> None:
    site = f"{drplan.site.url}/{drplan.namespace}"
    drplan.apply(
        workflow("w", [http_action("switch", f"{site}/switch"), config_map_action("mark", "marker", drplan.namespace)]),
        plan("p", [stage("only", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert phases_of(status) == {"switch": "Succeeded", "mark": "Succeeded"}
    assert status["message"] == "All stages completed successfully"
    assert drplan.site.count(f"/{drplan.namespace}/") == {f"/{drplan.namespace}/switch": 1}
    assert drplan.get("cm", "marker")["data"] == {"by": "mark"}
    check_summary(status)
    assert drplan.wait_unlocked("p")["phase"] == "Executed"
