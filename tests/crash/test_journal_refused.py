"""A journal that the API server does not take: one entry, everything, or nothing but deletions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devcluster.api import RequestError
from tests.crash.harness import OWN, Crashing
from tests.support.installation import actions_of, execution, phases_of, plan, stage, workflow
from tests.support.proxy import JOURNAL, Match, Request, hold, refuse, request_to

RESUME = "dr.bkbcs.tencent.com/resume"
REFUSALS: dict[str, tuple[int, str, str]] = {
    "e0": (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
    "e1": (422, "Invalid", "[]: Too long: may not be more than 1048576 bytes"),
    "e2": (400, "BadRequest", 'admission webhook "policy.example.com" denied the request: no'),
    "e3": (403, "Forbidden", "ValidatingAdmissionPolicy 'small' denied the request: too many lines"),
    "e4": (500, "", "etcdserver: request is too large"),
}
"""What an API server says when it will never take an object, by the execution that meets it."""


def refused_entry(drplan: Crashing, name: str) -> Match:
    """A journal write that holds the end of the first action of an execution."""
    return drplan.entry("ActionFinished", name, 0, 0, 0)


def suspension_of(status: dict[str, Any]) -> tuple[str, str, str]:
    [condition] = [c for c in status["conditions"] if c["type"] == "Suspended"]
    return condition["status"], condition["reason"], condition["message"]


def annotate(drplan: Crashing, name: str, key: str) -> None:
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions/{name}"
    drplan.merge(path, {"metadata": {"annotations": {key: "true"}}})


def test_runs_whose_entries_are_refused_hold_up_nobody_else(drplan: Crashing) -> None:
    """One refusal each at the same time, beside a run that nobody refuses; after a restart as well."""
    for name, (code, reason, message) in REFUSALS.items():
        actions = [drplan.http(f"{name}-a"), drplan.http(f"{name}-b")]
        drplan.create(workflow(f"w-{name}", actions), plan(f"p-{name}", [stage("s", f"w-{name}")]))
        drplan.proxy.on(refused_entry(drplan, name), refuse(code, reason, message), times=None)
    drplan.create(workflow("free", [drplan.http(f"x{n}") for n in range(8)]), plan("q", [stage("s", "free")]))
    for name in REFUSALS:
        drplan.create(execution(name, f"p-{name}"))
    drplan.create(execution("f", "q"))
    drplan.ended("f", plan="q")
    for name, (_, _, message) in REFUSALS.items():
        status = drplan.wait_phase(name, "Unknown")
        word, reason, text = suspension_of(status)
        assert (word, reason) == ("True", "RecordRefused")
        assert message.splitlines()[0] in text
        assert phases_of(status) == {f"{name}-a": "Running", f"{name}-b": "Pending"}
        assert drplan.plan_status(f"p-{name}")["currentExecution"]["name"] == name

    drplan.controller.kill9()  # the refusals stay
    drplan.free_lease()
    drplan.controller.start()
    drplan.create(execution("g", "q"))
    drplan.ended("g", plan="q")
    assert {name: drplan.status(name)["phase"] for name in REFUSALS} == dict.fromkeys(REFUSALS, "Unknown")
    assert {name: drplan.calls()[f"{name}-a"] for name in REFUSALS} == dict.fromkeys(REFUSALS, 1)

    annotate(drplan, "e0", RESUME)  # too early: it is refused again, and asks again
    drplan.wait(lambda: drplan.calls()["e0-a"] == 2 and drplan.status("e0")["phase"] == "Unknown", 20.0)
    drplan.cancel("e4")  # while it is still refused: it ends all the same
    cancelled = drplan.ended("e4", "Cancelled", plan="p-e4")
    assert phases_of(cancelled)["e4-b"] == "Skipped"

    drplan.proxy.clear()
    for name in ("e0", "e1", "e2", "e3"):
        annotate(drplan, name, RESUME)
    for name in ("e0", "e1", "e2", "e3"):
        ended = drplan.ended(name, plan=f"p-{name}")
        assert phases_of(ended) == {f"{name}-a": "Succeeded", f"{name}-b": "Succeeded"}
        assert drplan.calls()[f"{name}-b"] == 1


def test_a_run_of_which_nothing_is_taken_says_so_and_can_be_cancelled(drplan: Crashing) -> None:
    """A policy that refuses every entry of one run, its suspension included: the status alone records it."""
    drplan.create(workflow("w", [drplan.http("a"), drplan.http("b")]), plan("p", [stage("s", "w")]))

    def mine(request: Request) -> bool:
        return any((entry["ns"], entry["n"]) == (drplan.namespace, "e") for entry in request.entries)

    drplan.proxy.on(mine, refuse(403, "Forbidden", "denied by policy"), times=None)
    drplan.create(execution("e", "p"))
    status = drplan.wait_phase("e", "Unknown")
    assert suspension_of(status)[1] == "RecordRefused"
    assert drplan.calls() == {}
    drplan.cancel("e")
    assert phases_of(drplan.ended("e", "Cancelled")) == {"a": "Skipped", "b": "Skipped"}
    assert drplan.calls() == {}


def test_a_refusal_of_every_write_is_waited_out(drplan: Crashing) -> None:
    """Whatever it is that refuses all: a quota, a policy, a size, an etcd that is full. No entry is blamed for it."""
    answers = {
        "quota": (403, "Forbidden", "exceeded quota: all"),
        "policy": (422, "Invalid", "ValidatingAdmissionPolicy 'none' denied the request"),
        "size": (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
        "full": (500, "InternalError", "etcdserver: mvcc: database space exceeded"),
        "frozen": (403, "Forbidden", "namespace is being terminated"),
    }
    for name, answer in answers.items():
        drplan.create(workflow(f"w-{name}", [drplan.http(f"{name}-a"), drplan.http(f"{name}-b")]))
        drplan.create(plan(name, [stage("s", f"w-{name}")]))
        rule = drplan.proxy.on(lambda request: request.writes_journal, refuse(*answer), times=None)
        drplan.create(execution(f"e-{name}", name))
        rule.wait(6)
        assert drplan.status(f"e-{name}")["phase"] == "Running", name
        drplan.proxy.clear()
        drplan.ended(f"e-{name}", plan=name)
    assert drplan.calls() == {f"{name}-{action}": 1 for name in answers for action in "ab"}


@pytest.mark.parametrize("how", ["new segments refused", "deletions hang"])
def test_the_journal_does_without(drplan: Crashing, how: str) -> None:
    """A quota that allows no further segment, and deletions without an answer: no commit waits for either."""
    names = [f"x{n:03d}" for n in range(120)]
    drplan.create(workflow("w", [drplan.http(name) for name in names]), plan("p", [stage("s", "w")]))
    later = drplan.execution_status("e", lambda status: status.get("journalSequence", 0) > 0)
    stuck = drplan.proxy.on(later, hold, times=None)  # entries stay needed, so that segments fill
    if how == "deletions hang":
        hanging = drplan.proxy.on(
            lambda request: request.method == "DELETE" and JOURNAL in request.path, hold, times=None
        )
    else:
        hanging = drplan.proxy.on(
            request_to("POST", f"/{OWN}/configmaps", JOURNAL),
            refuse(403, "Forbidden", "exceeded quota: object-counts"),
            times=None,
        )
    drplan.create(execution("e", "p"))
    drplan.wait(lambda: len(drplan.calls()) == len(names), 60.0, "the run stands still")
    stuck.release()
    hanging.wait()
    drplan.ended("e")
    assert drplan.calls() == dict.fromkeys(names, 1)
    drplan.create(execution("again", "p"))
    drplan.ended("again")
    drplan.proxy.clear()


def test_a_manifest_with_more_objects_than_can_be_recorded_is_refused(drplan: Crashing) -> None:
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"absent-{n}", "namespace": drplan.namespace}}
        for n in range(4000)
    ]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"name": "all"}, "items": items})
    action = {"name": "a", "type": "KubernetesResource", "resource": {"operation": "Delete", "manifest": manifest}}
    with pytest.raises(RequestError, match="the manifest has 4000 objects, of one action at most 1000 can be recorded"):
        drplan.create(workflow("w", [action]))


def test_as_many_absent_objects_as_are_allowed_are_deleted(drplan: Crashing) -> None:
    name = "n" * 180
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-{n}", "namespace": drplan.namespace}}
        for n in range(1000)
    ]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"name": "all"}, "items": items})
    action = {"name": "a", "type": "KubernetesResource", "resource": {"operation": "Delete", "manifest": manifest}}
    drplan.create(workflow("w", [action]), plan("p", [stage("s", "w")]), execution("e", "p"))
    [ended] = actions_of(drplan.ended("e", timeout=120.0))
    assert len(ended["outputs"]["resourceRefs"]) == 1000
