"""S2 by counts: what is stored does not cost anything, and what a run costs does not depend on it.

100 plans, 300 finished executions, workflows of 20 actions. The bounds are numbers of requests, taken from the API
server's audit log, so they hold at any scale and on any machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import pytest

from devcluster.audit import AuditedRequest
from tests.acceptance.looks import is_look
from tests.acceptance.stories import controller_of, put_status, without_controller
from tests.support.cluster import Cluster
from tests.support.installation import API, Installation, execution, http_action, plan, stage, workflow
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("scale")

PLANS, RUNS_EACH, ACTIONS, WORKFLOWS = 100, 3, 20, 5

"""Objects in one page of a list."""
OURS = ("drworkflows", "drplans", "drplanexecutions")
START, END = "2026-03-01T10:00:00Z", "2026-03-01T10:00:20Z"
WRITES = ("create", "update", "patch", "delete")


@pytest.fixture(scope="module")
def filled(installed: Cluster, site: Site) -> Installation:
    """A namespace with everything in it, after the controller has seen all of it once."""
    drplan = Installation(installed, site, installed.namespace("scale"))
    with without_controller(drplan):
        drplan.apply(*(_workflow(drplan, number) for number in range(WORKFLOWS)))
        _at_once(lambda number: _post(drplan, "drplans", _plan(number)), range(PLANS))
        _at_once(lambda number: _store_runs(drplan, number), range(PLANS))
    drplan.wait(lambda: _is_settled(drplan), 120.0, "the controller has not seen everything")
    return drplan


def _workflow(drplan: Installation, number: int) -> dict[str, Any]:
    url = f"{drplan.site.url}/{drplan.namespace}/{number}"
    return workflow(f"w{number}", [http_action(f"a{action:02}", f"{url}/{action}") for action in range(ACTIONS)])


def _plan(number: int) -> dict[str, Any]:
    return plan(f"plan-{number}", [stage("only", f"w{number % WORKFLOWS}")])


def _store_runs(drplan: Installation, number: int) -> None:
    """Finished runs of one plan."""
    used = {"name": f"w{number % WORKFLOWS}", "namespace": drplan.namespace}
    times = {"phase": "Succeeded", "startTime": START, "completionTime": END, "duration": "1s"}
    actions = [{"name": f"a{action:02}", "type": "HTTP", "attempt": 1, **times} for action in range(ACTIONS)]
    done = {**times, "workflowRef": used, "actionStatuses": actions}
    status = {**times, "stageStatuses": [{"name": "only", **times, "workflowExecutions": [done]}]}
    for run in range(RUNS_EACH):
        _post(drplan, "drplanexecutions", execution(f"run-{number}-{run}", f"plan-{number}"))
        put_status(drplan, "drplanexecutions", f"run-{number}-{run}", status)


def _post(drplan: Installation, plural: str, obj: dict[str, Any]) -> None:
    drplan.cluster.api.request("POST", f"/apis/{API}/namespaces/{drplan.namespace}/{plural}", obj)


def _at_once(work: Callable[[int], None], numbers: Iterable[int]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, numbers))


def _items(drplan: Installation, plural: str) -> list[dict[str, Any]]:
    found = drplan.cluster.api.get(f"/apis/{API}/namespaces/{drplan.namespace}/{plural}")["items"]
    assert isinstance(found, list)
    return found


def _is_settled(drplan: Installation) -> bool:
    return all(item.get("status", {}).get("phase") for item in _items(drplan, "drplans")) and all(
        item["metadata"].get("finalizers") for item in _items(drplan, "drplanexecutions")
    )


def _versions(drplan: Installation) -> dict[tuple[str, str], str]:
    return {
        (plural, item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for plural in OURS
        for item in _items(drplan, plural)
    }


def _requests(drplan: Installation, mark: int, identity: str = "controller") -> list[AuditedRequest]:
    """What a process asked for, without its lease, its watches and the looks after these, which come at any time."""
    user = drplan.cluster.plane.identity(identity).username
    asked = drplan.cluster.audit.since(mark, user=user)
    return [r for r in asked if r.resource != "leases" and r.verb != "watch" and not is_look(r)]


def _run(drplan: Installation, name: str, plan_name: str) -> None:
    _post(drplan, "drplanexecutions", execution(name, plan_name))
    drplan.wait_phase(name, "Succeeded")
    drplan.wait_unlocked(plan_name)


def test_s2_by_counts_everything_is_known(filled: Installation) -> None:
    plans, executions = _items(filled, "drplans"), _items(filled, "drplanexecutions")
    assert Counter(item["status"]["phase"] for item in plans) == {"Ready": PLANS}
    assert len(executions) == PLANS * RUNS_EACH
    for item in executions:
        assert item["metadata"]["labels"]["dr.bkbcs.tencent.com/plan"] == item["spec"]["planRef"]
    assert all("executionHistory" not in item["status"] for item in plans)
    assert filled.site.count(f"/{filled.namespace}/") == {}


def test_s2_by_counts_a_run_costs_the_same_whatever_is_stored(filled: Installation) -> None:
    _run(filled, "warm-up", "plan-41")
    mark = filled.cluster.audit.mark()
    _run(filled, "costs", "plan-42")
    asked = _requests(filled, mark)
    ours = [request for request in asked if request.resource in OURS]
    assert [request for request in ours if request.verb == "list"] == []
    assert {request.name for request in ours} <= {"costs", "plan-42", "w2"}
    reads = [request for request in ours if request.verb == "get"]
    assert len(reads) <= 8, [request.uri for request in reads]
    plan_writes = [request for request in ours if request.resource == "drplans" and request.verb in WRITES]
    assert len(plan_writes) == 2, [request.uri for request in plan_writes]
    others = [request for request in asked if request.resource not in (*OURS, "events")]
    assert len(others) <= ACTIONS + 12, Counter((request.verb, request.name) for request in others)


def test_s2_by_counts_admission_reads_only_what_has_not_ended(filled: Installation) -> None:
    mark = filled.cluster.audit.mark()
    _run(filled, "admitted", "plan-43")
    filled.kubectl("delete", "drp", "plan-44")
    _post(filled, "drplans", _plan(44))
    filled.wait(lambda: filled.plan_status("plan-44").get("phase") == "Ready")
    lists = [request for request in _requests(filled, mark, "webhook") if request.verb == "list"]
    assert lists
    for request in lists:
        assert request.resource == "drplanexecutions"
        assert "fieldSelector=spec.planRef=plan-4" in unquote(request.uri)
        assert "status.phase!=Succeeded" in unquote(request.uri)


def test_s2_by_counts_a_changed_workflow_is_one_write(filled: Installation) -> None:
    """Twenty plans use it and stay valid."""
    generation = filled.get("drw", "w1")["metadata"]["generation"]
    mark = filled.cluster.audit.mark()
    filled.kubectl("patch", "drw", "w1", "--type=merge", "-p", '{"spec":{"failurePolicy":"Continue"}}')
    filled.wait(lambda: filled.get("drw", "w1")["status"]["observedGeneration"] == generation + 1)
    _run(filled, "after-change", "plan-45")
    asked = [request for request in _requests(filled, mark) if request.resource in OURS]
    assert [request for request in asked if request.verb == "list"] == []
    assert Counter(r.verb for r in asked if r.resource == "drworkflows" and r.verb in WRITES) == {"update": 1}
    assert {request.name for request in asked if request.resource == "drplans"} == {"plan-45"}


def test_s2_by_counts_a_restart_lists_each_kind_twice_or_so_and_writes_nothing(filled: Installation) -> None:
    before = _versions(filled)
    mark = filled.cluster.audit.mark()
    controller = controller_of(filled)
    controller.stop()
    controller.start()
    controller.wait_ready()
    _run(filled, "after-restart", "plan-46")
    asked = [request for request in _requests(filled, mark) if request.resource in OURS]
    begun = [request for request in asked if request.verb == "list" and "continue=" not in request.uri]
    # once to be warm and once afresh before it leads; one of them again with smaller pages, if these were too large
    assert all(count <= 3 for count in Counter(request.resource for request in begun).values()), begun
    written = {request.name for request in asked if request.verb in WRITES}
    assert written == {"after-restart", "plan-46"}
    after = _versions(filled)
    changed = {key for key, version in before.items() if after[key] != version}
    assert changed == {("drplans", "plan-46")}
