"""Requests with `--dry-run=server` have no side effect, whatever admission says to them."""

from __future__ import annotations

import re
from typing import Any

from devcluster import ServiceProcess
from tests.e2e.support import create
from tests.support.installation import API, Installation, execution, http_action, plan, stage, workflow

DRY = "--dry-run=server"
KINDS = ("drworkflows", "drplans", "drplanexecutions")


def _everything(drplan: Installation) -> dict[str, Any]:
    """Every object of the namespace and of the controller's, as stored, Events and leases' renewals left out."""
    api, ns = drplan.cluster.api, drplan.namespace
    lists = {kind: f"/apis/{API}/namespaces/{ns}/{kind}" for kind in KINDS}
    lists |= {"events": f"/apis/events.k8s.io/v1/namespaces/{ns}/events"}
    lists |= {"own config maps": "/api/v1/namespaces/drplan-system/configmaps"}
    return {name: api.get(path)["items"] for name, path in lists.items()}


def _runs_counted(drplan: Installation) -> list[str]:
    """The counters of runs and actions of the controller, which must stand still."""
    services = drplan.cluster.plane.services
    controllers = [each for each in services if isinstance(each, ServiceProcess) and each.name == "controller"]
    text = "\n".join(each.metrics() for each in controllers)
    return sorted(re.findall(r"^drplan_(?:executions|action_failures|status_writes)_total\{.*$", text, re.MULTILINE))


def test_dry_runs_change_nothing(drplan: Installation) -> None:
    """Create and delete of all three kinds, accepted and refused, while one execution runs."""
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/slow")
    create(
        drplan,
        workflow("w", [http_action("slow", f"{url}/slow")]),
        workflow("free", [http_action("slow", f"{url}/slow")]),
        plan("p", [stage("s", "w")]),
        plan("q", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.site.wait_for(f"{root}/slow")
    drplan.wait(lambda: drplan.status("e").get("stageStatuses", [{}])[0].get("phase") == "Running")
    drplan.wait(lambda: drplan.plan_status("q").get("phase") == "Ready")
    drplan.wait(lambda: all("status" in item for item in _everything(drplan)["drworkflows"]))
    started = {"ExecutionStarted", "StageStarted", "WorkflowStarted", "ActionStarted"}
    drplan.wait(
        lambda: {event["reason"] for event in _everything(drplan)["events"]} >= started,
        message="the Events of the start",
    )
    before, counted = _everything(drplan), _runs_counted(drplan)

    accepted = [
        ("create", workflow("w2", [http_action("a", f"{url}/a")])),
        ("create", plan("p2", [stage("s", "w")])),
        ("create", execution("e2", "q")),
    ]
    for verb, obj in accepted:
        assert "server dry run" in drplan.kubectl(verb, DRY, "-f", "-", stdin=obj).stdout
    for kind, name in (("drw", "free"), ("drp", "q"), ("drpe", "e")):
        assert "server dry run" in drplan.kubectl("delete", kind, name, DRY).stdout
    refused = [
        drplan.kubectl("create", DRY, "-f", "-", stdin=plan("p3", [stage("s", "none")]), check=False),
        drplan.kubectl("create", DRY, "-f", "-", stdin=execution("e3", "p"), check=False),
        drplan.kubectl("delete", "drw", "w", DRY, check=False),
        drplan.kubectl("delete", "drp", "p", DRY, check=False),
    ]
    for answer in refused:
        assert "denied the request" in answer.stderr

    assert _everything(drplan) == before
    assert _runs_counted(drplan) == counted
    drplan.site.let_go(f"{root}/slow")
    assert drplan.wait_phase("e", "Succeeded")["progress"] == "1/1"
    assert drplan.wait_unlocked("q").get("executionHistory") is None
    assert len(drplan.site.calls(f"{root}/slow")) == 1
