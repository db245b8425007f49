"""Stages: spec order, dependsOn in any direction, as many at once as the plan allows (decision P3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.e2e.support import create, names, stage_of
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
from tests.support.site import Answer


def _workflows(drplan: Installation, *given: str) -> list[dict[str, Any]]:
    return [
        workflow(name, [http_action(name, f"{drplan.site.url}/{drplan.namespace}/{name}", retryPolicy={"limit": 0})])
        for name in given
    ]


def _order(drplan: Installation) -> list[str]:
    return [call.path.rpartition("/")[2] for call in drplan.site.calls(prefix=f"/{drplan.namespace}/")]


def _phases(status: dict[str, Any], stages: Sequence[str]) -> list[str]:
    return [stage_of(status, name)["phase"] for name in stages]


def test_forward_references(drplan: Installation) -> None:
    create(
        drplan,
        *_workflows(drplan, "a", "b", "c"),
        plan(
            "p",
            [stage("last", "a", dependsOn=["middle"]), stage("middle", "b", dependsOn=["first"]), stage("first", "c")],
        ),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert _order(drplan) == ["c", "b", "a"]
    assert names(status["stageStatuses"]) == ["last", "middle", "first"], "listed in spec order"
    assert stage_of(status, "last")["dependsOn"] == ["middle"]


@pytest.mark.parametrize("limit", [None, 2, 3])
def test_max_parallel_stages(drplan: Installation, limit: int | None) -> None:
    stages = ["a", "b", "c", "d"]
    for name in stages:
        drplan.site.hold(f"/{drplan.namespace}/{name}")
    more = {"maxParallelStages": limit} if limit else {}
    create(
        drplan,
        *_workflows(drplan, *stages),
        plan("p", [stage(name, name) for name in stages], **more),
        execution("e", "p"),
    )
    together = limit or 1
    for number, name in enumerate(stages):
        running = stages[number : number + together]
        for other in running:
            drplan.site.wait_for(f"/{drplan.namespace}/{other}")
        drplan.wait(lambda running=running: all(phase == "Running" for phase in _phases(drplan.status("e"), running)))  # type: ignore[misc]
        waiting = stages[number + together :]
        assert all(phase == "Pending" for phase in _phases(drplan.status("e"), waiting))
        assert sorted(_order(drplan)) == stages[: number + together]
        drplan.site.let_go(f"/{drplan.namespace}/{name}")
    status = drplan.wait_phase("e", "Succeeded")
    assert len(_order(drplan)) == 4
    check_summary(status)


def test_stage_that_stops_the_plan_lets_a_stage_beside_it_end_its_running_action(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"{root}/bad", Answer(status=500))
    drplan.site.hold(f"{root}/slow")
    create(
        drplan,
        *_workflows(drplan, "bad"),
        workflow("two", [http_action("slow", f"{url}/slow"), http_action("after", f"{url}/after")]),
        plan("p", [stage("x", "bad"), stage("y", "two")], maxParallelStages=2),
        execution("e", "p"),
    )
    drplan.site.wait_for(f"{root}/slow")
    drplan.wait(lambda: _phases(drplan.status("e"), ["x"]) == ["Failed"])
    assert _phases(drplan.status("e"), ["y"]) == ["Running"]
    drplan.site.let_go(f"{root}/slow")
    status = drplan.wait_phase("e", "Failed")
    assert phases_of(status) == {"bad": "Failed", "slow": "Succeeded", "after": "Skipped"}
    assert _phases(status, ["x", "y"]) == ["Failed", "Cancelled"]
    assert status["message"] == "Stage x failed: workflow " + (
        f"{drplan.namespace}/bad failed: action bad failed: unexpected status code: 500"
    )
    check_summary(status)


def test_parallel_stage_runs_its_workflows_at_the_same_time(drplan: Installation) -> None:
    members = ["a", "b", "c"]
    for name in members:
        drplan.site.hold(f"/{drplan.namespace}/{name}")
    create(drplan, *_workflows(drplan, *members), plan("p", [stage("s", *members, parallel=True)]), execution("e", "p"))
    for name in members:
        drplan.site.wait_for(f"/{drplan.namespace}/{name}")
    for name in members:
        drplan.site.let_go(f"/{drplan.namespace}/{name}")
    status = drplan.wait_phase("e", "Succeeded")
    assert stage_of(status, "s")["parallel"] is True
    assert len(_order(drplan)) == 3


def test_one_workflow_used_twice_in_a_stage_runs_twice_with_its_own_parameters(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}/$(params.app)"
    uses = [{"workflowRef": {"name": "w"}, "params": [{"name": "app", "value": value}]} for value in ("order", "pay")]
    create(drplan, workflow("w", [http_action("x", url)]), plan("p", [stage("s", *uses)]), execution("e", "p"))
    status = drplan.wait_phase("e", "Succeeded")
    assert _order(drplan) == ["order", "pay"]
    assert [used["resolvedParams"] for used in stage_of(status, "s")["workflowExecutions"]] == [
        [{"name": "app", "value": "order"}],
        [{"name": "app", "value": "pay"}],
    ]
