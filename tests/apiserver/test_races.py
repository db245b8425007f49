"""Races between requests that admission judges one by one, on the real API server (decision W3a).

Each race is run two hundred times with both requests sent at the same instant, or a few milliseconds apart. The
outcomes are counted and printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.e2e.support import create, create_together
from tests.support.installation import API, Installation, execution, http_action, plan, stage, workflow
from tests.support.racing import Answer, Send, Track, run_all, spread, tracks
from tests.support.watching import Object, Watch, watching

pytestmark = pytest.mark.timeout(600)

ROUNDS = 200
AT_ONCE = 4


def _path(drplan: Installation, plural: str, name: str = "") -> str:
    return f"/apis/{API}/namespaces/{drplan.namespace}/{plural}{f'/{name}' if name else ''}"


def _in_phase(*phases: str) -> Callable[[Object], bool]:
    return lambda obj: (obj.get("status") or {}).get("phase") in phases


def _offset(number: int) -> tuple[float, float]:
    """Delays of the two requests: at once, and up to five milliseconds apart in either direction."""
    step = (number % 11 - 5) / 1000
    return max(step, 0.0), max(-step, 0.0)


def _report(title: str, outcomes: Counter[str], seconds: list[float]) -> None:
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(outcomes.items()))
    print(f"{title}: {counts}; from the later answer to the outcome: {spread(seconds)}")


def test_two_executions_of_one_plan_created_at_once(drplan: Installation) -> None:
    """One is refused or fails before its first action; the other one runs, once."""
    root, calls = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}/$(executionName)"
    create(drplan, workflow("w", [http_action("call", calls)]))
    create_together(drplan, [plan(f"p{number}", [stage("s", "w")]) for number in range(ROUNDS)])
    executions = _path(drplan, "drplanexecutions")
    with watching(drplan.cluster, executions) as watch, tracks(drplan.cluster, AT_ONCE) as lanes:
        for number in range(ROUNDS):
            drplan.wait(lambda name=f"p{number}": drplan.plan_status(name).get("phase") == "Ready")  # type: ignore[misc]

        def race(track: Track, number: int) -> tuple[str, float]:
            names = [f"e{number}-{side}" for side in "ab"]
            first, second = [Send("POST", executions, execution(name, f"p{number}")) for name in names]
            return _settle_pair(drplan, watch, f"p{number}", names, track.race(first, second))

        found = run_all(lanes, range(ROUNDS), race)
    for number in range(ROUNDS):
        drplan.wait_unlocked(f"p{number}")
        ran = [side for side in "ab" if drplan.site.calls(f"{root}/e{number}-{side}")]
        assert len(ran) == 1
        assert len(drplan.site.calls(f"{root}/e{number}-{ran[0]}")) == 1
    _report(
        "two executions at once", Counter(kind for kind, _ in found), [took for kind, took in found if "Failed" in kind]
    )


def _settle_pair(
    drplan: Installation, watch: Watch, plan_name: str, names: list[str], answers: tuple[Answer, Answer]
) -> tuple[str, float]:
    later = max(answer.at for answer in answers)
    admitted = [name for name, answer in zip(names, answers, strict=True) if answer.done]
    for answer in answers:
        assert answer.done or f"plan {plan_name} already has a running execution" in answer.message
    ends = {name: watch.wait(name, _in_phase("Succeeded", "Failed"), "it ends") for name in admitted}
    won = [name for name, end in ends.items() if end.object["status"]["phase"] == "Succeeded"]
    assert len(won) == 1, {name: end.object["status"] for name, end in ends.items()}
    lost = [name for name in admitted if name not in won]
    if not lost:
        return "one refused at admission", 0.0
    status = ends[lost[0]].object["status"]
    assert status["message"] == f"plan {plan_name} already has a running execution: {drplan.namespace}/{won[0]}"
    assert "stageStatuses" not in status
    return "both admitted, one Failed", ends[lost[0]].at - later


def test_workflow_deleted_while_a_plan_with_it_is_created(drplan: Installation) -> None:
    """The deletion is refused, or the plan is, or the plan becomes Invalid."""
    url = f"{drplan.site.url}/{drplan.namespace}/x"
    create_together(drplan, [workflow(f"w{number}", [http_action("a", url)]) for number in range(ROUNDS)])
    plans = _path(drplan, "drplans")
    with watching(drplan.cluster, plans) as watch, tracks(drplan.cluster, AT_ONCE) as lanes:

        def race(track: Track, number: int) -> tuple[str, float]:
            early, late = _offset(number)
            deleted, created = track.race(
                Send("DELETE", _path(drplan, "drworkflows", f"w{number}"), delay=early),
                Send("POST", plans, plan(f"p{number}", [stage("s", f"w{number}")]), delay=late),
            )
            if not deleted.done:
                assert created.done
                assert f"referenced by DRPlan(s): [{drplan.namespace}/p{number}]" in deleted.message
                return "deletion refused", 0.0
            if not created.done:
                assert f"workflow {drplan.namespace}/w{number} not found" in created.message
                return "plan refused", 0.0
            seen = watch.wait(f"p{number}", _in_phase("Invalid"), "the plan is Invalid")
            return "both done, plan Invalid", seen.at - max(deleted.at, created.at)

        found = run_all(lanes, range(ROUNDS), race)
    _report(
        "workflow deleted, plan created",
        Counter(kind for kind, _ in found),
        [took for kind, took in found if "Invalid" in kind],
    )


def test_plan_deleted_while_its_execution_starts(drplan: Installation) -> None:
    """The deletion is refused, or the execution is, or it fails before its first action; nothing hangs."""
    root = f"/{drplan.namespace}"
    create(drplan, workflow("w", [http_action("call", f"{drplan.site.url}{root}/$(executionName)")]))
    create_together(drplan, [plan(f"p{number}", [stage("s", "w")]) for number in range(ROUNDS)])
    executions = _path(drplan, "drplanexecutions")
    with watching(drplan.cluster, executions) as watch, tracks(drplan.cluster, AT_ONCE) as lanes:

        def race(track: Track, number: int) -> tuple[str, float]:
            early, late = _offset(number)
            name = f"e{number}"
            deleted, created = track.race(
                Send("DELETE", _path(drplan, "drplans", f"p{number}"), delay=early),
                Send("POST", executions, execution(name, f"p{number}"), delay=late),
            )
            if not created.done:
                assert deleted.done
                assert f"plan p{number} not found" in created.message
                return "execution refused", 0.0
            end = watch.wait(name, _in_phase("Succeeded", "Failed"), "it ends")
            calls = len(drplan.site.calls(f"{root}/{name}"))
            if not deleted.done:
                assert "running execution" in deleted.message
                assert (end.object["status"]["phase"], calls) == ("Succeeded", 1)
                return "deletion refused", 0.0
            assert (end.object["status"]["phase"], calls) == ("Failed", 0)
            assert "plan not found" in end.object["status"]["message"]
            return "both done, execution Failed", end.at - max(deleted.at, created.at)

        found = run_all(lanes, range(ROUNDS), race)
        started = [f"e{number}" for number, (kind, _) in enumerate(found) if kind != "execution refused"]
        drplan.cluster.api.request("DELETE", executions)
        for name in started:
            watch.wait_gone(name)
    _report(
        "plan deleted, execution created",
        Counter(kind for kind, _ in found),
        [took for kind, took in found if "Failed" in kind],
    )
