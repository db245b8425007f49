"""A watch that stays open and says nothing: whoever cancels, resumes or deletes a run is heard all the same."""

from __future__ import annotations

import json
import time
from typing import Any

from app.kube.pages import LIST_PAGE
from tests.crash.harness import Crashing
from tests.support.installation import execution, plan, stage, workflow
from tests.support.proxy import Request, say


def watches_executions(request: Request) -> bool:
    return request.client == "controller" and request.path.endswith("/drplanexecutions")


def test_runs_under_way_are_looked_at_while_the_watch_is_silent(drplan: Crashing) -> None:
    """A cancel, a deletion, and a removal by force; a silent watch alone takes 75 s to be listed anew."""
    names = ("cancelled", "deleted", "removed")
    for name in names:
        drplan.site.hold(drplan.path(name))
        drplan.create(
            workflow(f"w-{name}", [drplan.http(name), drplan.http(f"never-{name}")]),
            plan(f"p-{name}", [stage("s", f"w-{name}")]),
        )
    for name in names:
        drplan.create(execution(name, f"p-{name}"))
    for name in names:
        drplan.site.wait_for(drplan.path(name))
    lists = lambda r: watches_executions(r) and r.method == "GET" and "watch" not in r.query  # noqa: E731
    mark = len(drplan.proxy.log)
    with drplan.proxy.silent(watches_executions):
        drplan.cancel("cancelled")
        drplan.remove("deleted")
        drplan.remove("removed")
        root = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions"
        drplan.merge(f"{root}/removed", {"metadata": {"finalizers": None}})
        anew = lambda: [found for found in drplan.proxy.exchanges(lists, since=mark) if found.accepted]  # noqa: E731
        drplan.wait(anew, 40.0, "nothing was listed anew")
        time.sleep(2.0)  # until what was listed is taken in
        for name in names:
            drplan.site.let_go(drplan.path(name))
        drplan.ended("cancelled", "Cancelled", plan="p-cancelled")
        for name in names[1:]:
            drplan.wait(lambda name=name: not drplan.exists("drpe", name), 30.0, f"{name} is still there")  # type: ignore[misc]
            drplan.wait(lambda name=name: not drplan.plan_status(f"p-{name}").get("currentExecution"), 30.0)  # type: ignore[misc]
    assert drplan.calls() == dict.fromkeys(names, 1)


def test_an_execution_that_is_created_while_the_watch_is_silent_is_found(drplan: Crashing) -> None:
    """Nothing runs that would be looked at, and a silent watch alone is listed anew after 75 s."""
    drplan.create(workflow("w", [drplan.http("a")]), plan("p", [stage("s", "w")]))
    drplan.wait(lambda: drplan.plan_status("p").get("phase") == "Ready", 30.0, "the plan is not ready")
    with drplan.proxy.silent(watches_executions):
        drplan.create(execution("e", "p"))
        drplan.wait(lambda: drplan.calls().get("a"), 60.0, "nobody finds it")
        drplan.ended("e")


def test_changes_that_a_watch_loses_are_found_while_it_goes_on(drplan: Crashing) -> None:
    """The event of a new execution and that of a cancel never come; other events do."""
    drplan.site.hold(drplan.path("held"))
    drplan.create(
        workflow("w", [drplan.http("a")]),
        workflow("w-held", [drplan.http("held"), drplan.http("never")]),
        *(plan(name, [stage("s", "w")]) for name in ("p", "q")),
        plan("p-held", [stage("s", "w-held")]),
    )
    drplan.create(execution("cancelled", "p-held"))
    drplan.site.wait_for(drplan.path("held"))

    def lost(request: Request, event: dict[str, Any]) -> bool:
        metadata = event["object"].get("metadata", {})
        if not watches_executions(request) or metadata.get("namespace") != drplan.namespace:
            return False
        return metadata["name"] == "e" or "dr.bkbcs.tencent.com/cancel" in metadata.get("annotations", {})

    with drplan.proxy.dropping(lost):
        drplan.create(execution("e", "p"), execution("other", "q"))
        drplan.cancel("cancelled")
        drplan.ended("other", plan="q")
        drplan.ended("e", timeout=120.0)
        drplan.site.let_go(drplan.path("held"))
        drplan.ended("cancelled", "Cancelled", plan="p-held", timeout=120.0)
    assert drplan.calls() == {"held": 1, "a": 2}


def test_a_list_from_the_past_takes_nothing_back(drplan: Crashing) -> None:
    """Something in between answers with a list of before: a run under way is not gone, an ended one not to be begun."""
    drplan.site.hold(drplan.path("held"))
    drplan.create(
        workflow("w", [drplan.http("a")]),
        workflow("w-held", [drplan.http("held"), drplan.http("last")]),
        *(plan(name, [stage("s", "w")]) for name in ("p", "q")),
        plan("p-held", [stage("s", "w-held")]),
    )
    drplan.create(execution("done", "p"))
    root = "/apis/dr.bkbcs.tencent.com/v1alpha1/drplanexecutions"
    past = json.dumps(drplan.cluster.api.get(root)).encode()
    drplan.ended("done", plan="p")
    drplan.create(execution("held", "p-held"))
    drplan.site.wait_for(drplan.path("held"))
    whole = lambda r: watches_executions(r) and r.method == "GET" and r.query.get("limit") == str(LIST_PAGE)  # noqa: E731
    with drplan.proxy.silent(watches_executions):
        drplan.create(execution("new", "q"))
        rule = drplan.proxy.on(whole, say(past), times=None)
        rule.wait(2, timeout=60.0)
    drplan.proxy.remove(rule)
    drplan.ended("new", plan="q", timeout=120.0)
    drplan.site.let_go(drplan.path("held"))
    drplan.ended("held", plan="p-held")
    assert drplan.status("done")["phase"] == "Succeeded"
    assert drplan.calls() == {"a": 2, "held": 1, "last": 1}


def test_what_a_silent_watch_says_again_is_read_as_before(drplan: Crashing) -> None:
    drplan.create(workflow("w", [drplan.http("a")]), plan("p", [stage("s", "w")]))
    drplan.create(execution("e", "p"))
    drplan.ended("e")
