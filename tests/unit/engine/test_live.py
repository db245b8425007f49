"""What a run under way says of itself while something is being repeated."""

from __future__ import annotations

import pytest

from app.engine.definition import Address
from app.engine.events import ActionStarted, AttemptFailed, CancelRequested, Event, RunResumed, RunSuspended
from app.engine.fold import fold, fold_all, initial_status
from app.engine.outcome import Failed
from app.engine.text import MESSAGE_LIMIT
from app.models.actions import RetryPolicy
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from tests.unit.engine.runs import START, Player, after, definition_of, flow, http, stage

PATIENT = RetryPolicy(limit=9, interval="5s")
BUSY = Failed('unexpected status code: 503: {"error":"pool has no healthy members"}', retryable=True)


def retried(*names: str) -> Player:
    workflows = (flow(http(name, retry=PATIENT)) for name in names)
    return Player(definition_of(stage("front", *workflows, parallel=True)))


def test_it_names_stage_action_workflow_attempt_cause_and_the_next_try() -> None:
    player = retried("pool")
    assert player.status.message == ""
    player.end("pool", BUSY)
    assert player.status.message == (
        "stage front, action pool of workflow ns/front-0: attempt 1 failed, the next try is at 2026-03-01T08:00:06Z: "
        'unexpected status code: 503: {"error":"pool has no healthy members"}'
    )
    player.wait(5)
    assert player.status.message.startswith(
        "stage front, action pool of workflow ns/front-0: attempt 2 is under way, attempt 1 failed: unexpected status"
    )
    player.end("pool", Failed("connection refused", retryable=True))
    assert "attempt 2 failed, the next try is at" in player.status.message
    assert player.status.message.endswith("connection refused")
    assert player.action("pool").last_failure == "connection refused"
    player.wait(30)
    player.end("pool")
    assert player.status.message == "All stages completed successfully"
    assert player.action("pool").last_failure == ""


def test_once_nothing_is_repeated_any_more_it_is_silent_again() -> None:
    player = retried("a", "b")
    player.end("a", BUSY)
    player.wait(5)
    player.end("a")
    assert (player.phase(), player.status.message) == (Phase.RUNNING, "")


def test_of_several_one_that_waits_is_told_and_the_others_are_counted() -> None:
    player = retried("a", "b", "c")
    player.end("a", BUSY)
    player.wait(10)
    player.end("b", BUSY)
    assert "action b of workflow ns/front-1: attempt 1 failed" in player.status.message
    assert player.status.message.endswith("(and 1 more action is being repeated)")
    player.end("c", BUSY)
    assert player.status.message.endswith("(and 2 more actions are being repeated)")


@pytest.mark.parametrize("name", ["a", "a" * 253, "ä" * 512])
def test_it_is_bounded_and_the_time_of_the_next_try_is_never_what_is_cut(name: str) -> None:
    player = Player(definition_of(stage("s" * 253, flow(http(name, retry=PATIENT)))))
    player.end(name, Failed("€" * 1000, retryable=True))
    message = player.status.message
    assert len(message.encode()) <= MESSAGE_LIMIT
    assert "the next try is at 2026-03-01T08:00:06Z: €€€" in message
    assert len(player.action(name).last_failure.encode()) <= 512


def test_a_cancel_and_an_end_say_their_own() -> None:
    player = retried("a", "b")
    player.end("a", BUSY)
    player.fold(CancelRequested(player.now, "stop"))
    assert player.status.message == ""
    assert player.action("a").message == f"Canceled by user while waiting for a retry: {BUSY.message}"
    player.end("b")
    assert player.status.message == "Execution canceled by user"


def test_a_run_that_stood_still_tells_of_its_retry_again() -> None:
    player = retried("a")
    player.end("a", BUSY)
    told = player.status.message
    player.fold(RunSuspended(player.now, "look"))
    assert player.status.message == "look"
    player.fold(RunResumed(player.now))
    assert player.status.message == told


def test_a_status_of_an_earlier_release_has_the_cause_in_the_message_of_the_action() -> None:
    player = retried("a", "b")
    player.end("a", BUSY)
    wire = player.status.to_wire()
    waiting = wire["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"][0]
    waiting["nextAttemptTime"] = "2026-03-01T08:00:06Z"
    del waiting["lastFailure"]
    del wire["message"]
    player.status = DRPlanExecutionStatus.from_wire(wire)
    player.end("b", BUSY)
    assert f"the next try is at 2026-03-01T08:00:06Z: {BUSY.message} (and 1 more" in player.status.message


def test_many_events_at_once_lead_to_the_same_message_as_one_after_the_other() -> None:
    definition = definition_of(stage("one", flow(http("a", retry=PATIENT)), flow("b"), parallel=True))
    a, b = Address(0, 0, 0), Address(0, 1, 0)
    events: list[Event] = [
        ActionStarted(START, a, 1),
        AttemptFailed(after(1), a, "busy", after(2)),
        ActionStarted(after(2), a, 2),
        ActionStarted(after(2), b, 1),
    ]
    status = initial_status(definition, START)
    for number in range(1, len(events) + 1):
        one_by_one = status
        for event in events[:number]:
            one_by_one = fold(definition, one_by_one, event)
        assert fold_all(definition, status, events[:number]) == one_by_one
    assert one_by_one.message.endswith("attempt 2 is under way, attempt 1 failed: busy")
