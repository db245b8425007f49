"""The timeline of a run and what stands out in it."""

from __future__ import annotations

from typing import Any

import pytest

from app.models.execution import DRPlanExecution
from app.service.api.models import Timeline
from app.service.api.timeline import timeline_of


def at(second: int) -> str:
    return f"2026-03-01T10:00:{second:02}Z"


def node(phase: str, start: int | None = None, end: int | None = None, **more: Any) -> dict[str, Any]:
    times = {"startTime": start, "completionTime": end}
    return {"phase": phase, **{key: at(value) for key, value in times.items() if value is not None}, **more}


def run(*actions: dict[str, Any], phase: str = "Succeeded", end: int | None = 30, **more: Any) -> Timeline:
    workflow = node(phase, 5, end, workflowRef={"name": "w", "namespace": "ns"}, actionStatuses=list(actions))
    stages = [node(phase, 5, end, name="s", workflowExecutions=[workflow]), *more.pop("stages", ())]
    return timeline_of(
        DRPlanExecution.from_wire(
            {
                "metadata": {"name": "e", "namespace": "ns", "creationTimestamp": at(0)},
                "spec": {"planRef": "p", "operationType": "Execute"},
                "status": node(phase, 5, end, stageStatuses=stages, **more),
            }
        )
    )


def events(timeline: Timeline, level: str) -> list[tuple[str, str]]:
    return [(entry.action or entry.stage, entry.event) for entry in timeline.entries if entry.level == level]


def test_a_part_encloses_what_it_contains_even_within_one_second() -> None:
    timeline = run(node("Succeeded", 5, 5, name="a"), node("Succeeded", 5, 5, name="b"), end=5)
    assert [(entry.level, entry.action, entry.event) for entry in timeline.entries] == [
        ("plan", "", "created"),
        ("plan", "", "started"),
        ("stage", "", "started"),
        ("workflow", "", "started"),
        ("action", "a", "started"),
        ("action", "a", "finished"),
        ("action", "b", "started"),
        ("action", "b", "finished"),
        ("workflow", "", "finished"),
        ("stage", "", "finished"),
        ("plan", "", "finished"),
    ]


def test_actions_side_by_side_are_told_by_time() -> None:
    timeline = run(node("Succeeded", 6, 20, name="a"), node("Succeeded", 7, 10, name="b"))
    assert events(timeline, "action") == [("a", "started"), ("b", "started"), ("b", "finished"), ("a", "finished")]


def test_what_was_skipped_has_no_time_and_stands_behind_its_cause() -> None:
    timeline = run(
        node("Failed", 6, 9, name="a", message="boom"),
        node("Skipped", name="b", message="action a failed"),
        phase="Failed",
        stages=[node("Skipped", name="t", message="stage s failed")],
    )
    assert events(timeline, "action") == [("a", "started"), ("a", "finished"), ("b", "skipped")]
    assert events(timeline, "stage")[-1] == ("t", "skipped")
    skipped = next(entry for entry in timeline.entries if entry.event == "skipped")
    assert (skipped.time, skipped.message) == (None, "action a failed")
    assert timeline.entries[-1].level == "plan"


@pytest.mark.parametrize("retries", [0, 2])
def test_a_repeat_that_is_to_come_is_not_told_as_done(retries: int) -> None:
    waiting = node("Running", 6, name="a", retryCount=retries, nextAttemptTime=at(40), message="HTTP 503")
    timeline = run(waiting, phase="Running", end=None)
    told = [(entry.event, entry.retries, entry.message) for entry in timeline.entries if entry.level == "action"]
    made = [("retried", retries, "")] if retries else []
    assert told == [("started", None, ""), *made, ("scheduled", None, "HTTP 503")]
    last = timeline.entries[-1].model_dump(mode="json")
    assert (last["time"], last["due"]) == (None, at(40)), "what lies ahead is no time of an event"
    assert [fact.action for fact in timeline.facts.running] == ["a"]


def test_facts() -> None:
    timeline = run(
        node("Succeeded", 6, 9, name="a", duration="3.2s"),
        node("Failed", 12, 20, name="b", duration="8s", retryCount=3, message="boom"),
        node("Failed", 13, 19, name="c", duration="6s", message="bang"),
        phase="Failed",
        duration="25s",
    )
    facts = timeline.facts
    assert (facts.waited, facts.duration, facts.retries) == ("5s", "25s", 3)
    assert (facts.actions, facts.ended_actions) == (3, 3)
    assert facts.first_failure is not None
    assert (facts.first_failure.action, facts.first_failure.message) == ("c", "bang")
    assert [fact.action for fact in facts.longest_actions] == ["b", "c", "a"]
    assert facts.idle == "14s"


def test_a_run_that_has_not_begun() -> None:
    pending = {"metadata": {"name": "e", "namespace": "ns"}, "spec": {"planRef": "p", "operationType": "Execute"}}
    timeline = timeline_of(DRPlanExecution.from_wire(pending))
    assert timeline.entries == ()
    assert timeline.facts.actions == 0
