"""`delivery: AtMostOnce`: a call that may have arrived is never sent again by itself; the run asks, and obeys."""

from __future__ import annotations

from tests.crash.harness import Crashing
from tests.e2e.support import action_of
from tests.support.installation import execution, phases_of, plan, stage, workflow

RESUME = "dr.bkbcs.tencent.com/resume"


def test_a_call_in_doubt_is_not_sent_again_until_an_operator_says_so(drplan: Crashing) -> None:
    """Four runs: told that it was done, told to do it, cancelled, and one of the default delivery beside them."""
    once = {"method": "POST", "delivery": "AtMostOnce"}
    for name in ("done", "again", "stop", "usual"):
        http = {"method": "POST"} if name == "usual" else once
        drplan.site.hold(drplan.path(name))
        actions = [drplan.http(name, http=http, retryPolicy={"limit": 0}), drplan.http(f"then-{name}")]
        drplan.create(workflow(name, actions), plan(name, [stage("s", name)]), execution(f"e-{name}", name))
    for name in ("done", "again", "stop", "usual"):
        drplan.site.wait_for(drplan.path(name))
    drplan.controller.kill9()
    for name in ("done", "again", "stop", "usual"):
        drplan.site.let_go(drplan.path(name))
    drplan.restart()
    assert phases_of(drplan.ended("e-usual", plan="usual")) == {"usual": "Succeeded", "then-usual": "Succeeded"}
    for name in ("done", "again", "stop"):
        status = drplan.wait_phase(f"e-{name}", "Unknown")
        assert (
            f"action {name}: it is not known whether this was done: the controller was interrupted" in status["message"]
        )
        assert f"kubectl annotate drpe e-{name} -n {drplan.namespace} {RESUME}=done if it was" in status["message"]
        assert action_of(status, name)["undecided"] is True
        [condition] = [c for c in status["conditions"] if c["type"] == "Suspended"]
        assert (condition["status"], condition["reason"]) == ("True", "OutcomeUnknown")
        assert drplan.plan_status(name)["currentExecution"]["name"] == f"e-{name}"
    assert drplan.calls() == {"done": 1, "again": 1, "stop": 1, "usual": 2, "then-usual": 1}

    drplan.controller.kill9()
    drplan.restart()
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions"
    drplan.merge(f"{path}/e-done", {"metadata": {"annotations": {RESUME: "done"}}})
    drplan.merge(f"{path}/e-again", {"metadata": {"annotations": {RESUME: "true"}}})
    drplan.cancel("e-stop")
    done, again = drplan.ended("e-done", plan="done"), drplan.ended("e-again", plan="again")
    stopped = drplan.ended("e-stop", "Cancelled", plan="stop")
    assert phases_of(done) == {"done": "Succeeded", "then-done": "Succeeded"}
    assert action_of(done, "done")["message"].startswith("taken as done, as an operator said")
    assert "undecided" not in action_of(done, "done")
    assert phases_of(again) == {"again": "Succeeded", "then-again": "Succeeded"}
    assert phases_of(stopped) == {"stop": "Cancelled", "then-stop": "Skipped"}
    calls = drplan.calls()
    assert (calls["done"], calls["again"], calls["stop"]) == (1, 2, 1)


def test_a_lost_answer_asks_and_what_was_not_sent_is_tried_again(drplan: Crashing) -> None:
    once = {"method": "POST", "delivery": "AtMostOnce", "requestTimeout": "500ms"}
    drplan.site.hold(drplan.path("slow"))
    closed = {**once, "url": "http://127.0.0.1:1/"}
    retry = {"limit": 1, "interval": "20ms"}
    drplan.create(
        workflow("lost", [drplan.http("slow", http=once, retryPolicy=retry)]),
        workflow("shut", [drplan.http("nobody", http=closed, retryPolicy=retry)]),
        plan("lost", [stage("s", "lost")]),
        plan("shut", [stage("s", "shut")]),
        execution("e-lost", "lost"),
        execution("e-shut", "shut"),
    )
    message = action_of(drplan.ended("e-shut", "Failed", plan="shut"), "nobody")["message"]
    assert message.startswith("action failed after 1 retries: ")
    assert message.endswith("connection refused (nothing was sent)")
    status = drplan.wait_phase("e-lost", "Unknown")
    assert "no answer in time (requestTimeout: 500ms)" in status["message"]
    drplan.site.let_go(drplan.path("slow"))
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions/e-lost"
    drplan.merge(path, {"metadata": {"annotations": {RESUME: "true"}}})
    assert phases_of(drplan.ended("e-lost", plan="lost")) == {"slow": "Succeeded"}
    assert drplan.calls() == {"slow": 2}
