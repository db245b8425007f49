"""Answers of the API server that get lost after it did what was asked: settled by reading back, nothing done twice."""

from __future__ import annotations

import pytest

from tests.crash.harness import OWN, Crashing
from tests.support.installation import config_map_action, execution, phases_of, plan, stage, workflow
from tests.support.proxy import Act, Match, Request, lose_answer, lose_request, refuse, request_to

WRITES = (
    "snapshot",
    "plan lock",
    "first status",
    "first intent",
    "object",
    "result and next intent",
    "final status",
    "plan completed",
)


def match_of(drplan: Crashing, write: str) -> Match:
    match write:
        case "snapshot":
            return request_to("POST", f"/{OWN}/configmaps", "drplan-snapshot-")
        case "plan lock":
            return drplan.status_of_plan("p", lambda status: "currentExecution" in status)
        case "first status":
            return drplan.execution_status("e", lambda status: status["phase"] == "Running")
        case "first intent":
            return drplan.entry("ActionStarted", "e", 0, 0, 0)
        case "object":
            return request_to("POST", f"/{drplan.namespace}/configmaps")
        case "result and next intent":
            return drplan.entry("ActionStarted", "e", 0, 0, 2)
        case "final status":
            return drplan.execution_status("e", lambda status: status["phase"] == "Succeeded")
        case _:
            return drplan.status_of_plan("p", lambda s: "currentExecution" not in s and "executionHistory" in s)


@pytest.mark.parametrize("fault", ["answer lost", "request lost", "refused by a 500"])
def test_faults_at_every_write_of_one_run(drplan: Crashing, fault: str) -> None:
    drplan.create(
        workflow("w", [drplan.http("a"), config_map_action("b", "marker", drplan.namespace), drplan.http("c")]),
        plan("p", [stage("s", "w")]),
    )
    act: Act = {"answer lost": lose_answer, "request lost": lose_request}.get(fault) or refuse(500)
    rules = {write: drplan.proxy.on(match_of(drplan, write), act) for write in WRITES}
    pid = drplan.controller.pid
    drplan.create(execution("e", "p"))
    status = drplan.ended("e")
    for write, rule in rules.items():
        assert rule.fired == 1, write
    assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    assert drplan.calls() == {"a": 1, "c": 1}
    assert (drplan.controller.running, drplan.controller.pid) == (True, pid)
    made = drplan.proxy.accepted(request_to("POST", f"/{drplan.namespace}/configmaps"), since=drplan.since)
    assert len(made) == 1
    assert len(drplan.plan_status("p")["executionHistory"]) == 1


def test_statuses_in_conflict_with_foreign_annotations(drplan: Crashing) -> None:
    """Two of three status writes of run and plan meet a change by somebody else."""
    drplan.create(
        workflow("w", [drplan.http("a"), config_map_action("b", "marker", drplan.namespace), drplan.http("c")]),
        plan("p", [stage("s", "w")]),
    )
    root = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}"
    seen: dict[str, int] = {}

    def meddle(request: Request) -> bool:
        """Change the object just before a write of its status gets to the API server."""
        for path in (f"{root}/drplanexecutions/e", f"{root}/drplans/p"):
            if request.method == "PUT" and request.path == f"{path}/status":
                seen[path] = seen.get(path, 0) + 1
                if seen[path] % 3:
                    drplan.merge(path, {"metadata": {"annotations": {f"test/n{seen[path]}": "x"}}})
        return False

    drplan.proxy.on(meddle, lose_request)
    drplan.create(execution("e", "p"))
    status = drplan.ended("e")
    assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    assert drplan.calls() == {"a": 1, "c": 1}
    for path, kind, name in ((f"{root}/drplanexecutions/e", "drpe", "e"), (f"{root}/drplans/p", "drp", "p")):
        wanted = {f"test/n{n}" for n in range(1, seen[path] + 1) if n % 3}
        assert len(wanted) >= 2
        assert wanted <= set(drplan.get(kind, name)["metadata"]["annotations"])
