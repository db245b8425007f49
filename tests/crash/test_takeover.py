"""What a new leader does about a past that it cannot be sure of (design: the journal)."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.crash.conftest import LONG_LEASE, Rig, replaced
from tests.crash.harness import JOURNAL_SELECTOR, OWN, Crashing
from tests.support.installation import config_map_action, execution, phases_of, plan, stage, workflow

COMPONENT = "dr.bkbcs.tencent.com/component"
HEAD = f"/api/v1/namespaces/{OWN}/configmaps/drplan-journalhead"
COPIED = "-before"
HOURS = 3600 * 1_000_000


def held_run(drplan: Crashing, at: str = "c") -> None:
    """A run that stands in action `at` of a, b, c and d; a second plan is free."""
    actions = [drplan.http("a"), config_map_action("b", "marker", drplan.namespace), drplan.http("c"), drplan.http("d")]
    drplan.create(
        workflow("w", actions),
        workflow("other", [drplan.http("x")]),
        plan("p", [stage("s", "w")]),
        plan("q", [stage("s", "other")]),
    )
    drplan.site.hold(drplan.path(at))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path(at))
    drplan.wait(lambda: phases_of(drplan.status("e"))[at] == "Running")


def paths(drplan: Crashing) -> list[str]:
    return [f"/api/v1/namespaces/{OWN}/configmaps/{item['metadata']['name']}" for item in drplan.segments()]


def change_head(drplan: Crashing, **members: int) -> None:
    """Rewrite what the journal's head says."""
    stored = json.loads(drplan.cluster.api.get(HEAD)["data"]["head"])
    drplan.merge(HEAD, {"data": {"head": json.dumps({**stored, **members})}})


def annotate(drplan: Crashing, key: str) -> None:
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions/e"
    drplan.merge(path, {"metadata": {"annotations": {key: "true"}}})


def asks(drplan: Crashing, reason: str) -> dict[str, Any]:
    """Wait until the run asks; nothing of it may have gone on, and other plans are not held up."""
    status = drplan.wait_phase("e", "Unknown")
    [condition] = [c for c in status["conditions"] if c["type"] == "Suspended"]
    assert (condition["status"], condition["reason"]) == ("True", reason)
    for word in ('dr.bkbcs.tencent.com/resume: "true"', 'dr.bkbcs.tencent.com/cancel: "true"'):
        assert word in condition["message"]
    name = f"f-{len(drplan.proxy.log)}"
    drplan.create(execution(name, "q"))
    drplan.ended(name, plan="q")
    calls = drplan.calls()
    assert (calls["a"], calls["c"], calls.get("d", 0)) == (1, 1, 0)
    return dict(condition)


@pytest.mark.parametrize(
    ("how", "answer", "again"),
    [
        ("everything deleted", "resume", False),
        ("newest deleted", "cancel", True),
        ("entry missing", "cancel", False),
        ("line removed", "resume", False),
        ("aged", "resume", True),
    ],
)
def test_a_run_of_unsure_past_asks(drplan: Crashing, how: str, answer: str, again: bool) -> None:
    held_run(drplan)
    marker = drplan.uid("cm", "marker")
    drplan.controller.kill9()
    reason = "InterruptedLongAgo" if how == "aged" else "JournalIncomplete"
    spoil(drplan, how)
    drplan.site.let_go(drplan.path("c"))
    drplan.restart()
    asks(drplan, reason)
    for path in [path for path in paths(drplan) if path.endswith(COPIED)]:
        drplan.delete(path)
    if again:
        drplan.controller.kill9()  # the question stays
        drplan.restart()
        asks(drplan, reason)
    annotate(drplan, f"dr.bkbcs.tencent.com/{answer}")
    if answer == "resume":
        drplan.ended("e")
        calls = drplan.calls()
        assert (calls["a"], calls["c"], calls["d"]) == (1, 2, 1)
    else:
        ended = drplan.ended("e", "Cancelled")
        assert phases_of(ended) == {"a": "Succeeded", "b": "Succeeded", "c": "Cancelled", "d": "Skipped"}
        assert drplan.calls()["c"] == 1, "what was in doubt was done again by a cancel"
    assert drplan.uid("cm", "marker") == marker


def spoil(drplan: Crashing, how: str) -> None:
    """Do to the journal, while nobody leads, what makes the past unsure."""
    segments = paths(drplan)
    if how == "aged":
        alive = json.loads(drplan.cluster.api.get(HEAD)["data"]["head"])["alive"]
        change_head(drplan, alive=alive - 2 * HOURS, since=alive - 3 * HOURS)
    elif how == "entry missing":
        segment = drplan.cluster.api.get(segments[-1])
        run = {"u": drplan.uid("drpe", "e"), "ns": drplan.namespace, "n": "e"}
        after_next = {**run, "s": drplan.status("e")["journalSequence"] + 2, "e": "RunResumed", "t": 1}
        drplan.merge(segments[-1], {"data": {"journal": segment["data"]["journal"] + "\n" + json.dumps(after_next)}})
    elif how == "line removed":  # and a copy of what was there beside it, which is nobody's
        segment = drplan.cluster.api.get(segments[-1])
        copied = {"name": f"{segment['metadata']['name']}{COPIED}", "labels": segment["metadata"]["labels"]}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": copied, "data": segment["data"]}
        drplan.cluster.api.request("POST", segments[-1].rpartition("/")[0], body)
        lines = segment["data"]["journal"].split("\n")
        drplan.merge(segments[-1], {"data": {"journal": "\n".join(lines[:-1])}})
    elif how == "newest deleted":
        drplan.delete(segments[-1])
    else:
        for path in (*segments, HEAD):
            drplan.delete(path)


@pytest.mark.parametrize("running", [True, False])
def test_segments_that_lose_their_label_get_it_back(drplan: Crashing, running: bool) -> None:
    """Nothing is lost, nothing asks: the head knows their names."""
    held_run(drplan)
    if not running:
        drplan.controller.kill9()
    found = paths(drplan)
    for path in found:
        drplan.merge(path, {"metadata": {"labels": {COMPONENT: None}}})
    if running:
        drplan.wait(lambda: set(found) <= set(paths(drplan)), 20.0, "the labels do not come back")
        drplan.controller.kill9()
    drplan.site.let_go(drplan.path("c"))
    drplan.restart()
    drplan.ended("e")
    assert drplan.calls() == {"a": 1, "c": 2, "d": 1}
    assert drplan.own_config_maps(JOURNAL_SELECTOR)


def test_an_attempt_that_may_have_ended_the_process_is_given_up_the_third_time(drplan: Crashing) -> None:
    held_run(drplan)
    for times in (2, 3):
        drplan.controller.kill9()
        drplan.restart()
        drplan.site.wait_for(drplan.path("c"), times=times)
    drplan.controller.kill9()
    drplan.restart()
    ended = drplan.ended("e", "Failed")
    assert phases_of(ended) == {"a": "Succeeded", "b": "Succeeded", "c": "Failed", "d": "Skipped"}
    [action] = [a for a in ended["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"] if a["name"] == "c"]
    assert "given up: the controller was ended 3 times in a row while attempt 1 of action c" in action["message"]
    assert action["interruptions"] == 2
    assert drplan.calls()["c"] == 3
    drplan.site.let_go(drplan.path("c"))


@pytest.mark.parametrize("how", ["told to stop", "lived on for long"])
def test_ends_that_an_attempt_cannot_have_caused_do_not_count(rig: Rig, drplan: Crashing, how: str) -> None:
    with replaced(rig, drplan, "brief", *LONG_LEASE, "--shutdown-grace=0.2") as brief:
        held_run(brief)
        for times in (2, 3, 4, 5):
            if how == "told to stop":
                brief.controller.send(signal.SIGTERM)
                brief.controller.wait(20.0)
            else:
                brief.controller.kill9()
                alive = json.loads(brief.cluster.api.get(HEAD)["data"]["head"])["alive"]
                change_head(brief, since=alive - HOURS)
            brief.restart()
            brief.site.wait_for(brief.path("c"), times=times)
        brief.site.let_go(brief.path("c"))
        brief.ended("e")
        assert brief.calls()["d"] == 1
