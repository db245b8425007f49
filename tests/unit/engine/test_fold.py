"""From a status and an event to the next status."""

from __future__ import annotations

import pytest

from app.engine.definition import Address
from app.engine.events import (
    ActionFinished,
    ActionStarted,
    AttemptFailed,
    CancelRequested,
    Event,
    RunResumed,
    RunSuspended,
)
from app.engine.fold import IllegalEventError, end_run, fold, initial_status
from app.engine.outcome import Failed, Succeeded
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus, ResolvedParam
from app.models.phases import Phase
from tests.unit.engine.runs import START, Player, after, definition_of, flow, http, nodes, phases, stage

A = Address(0, 0, 0)
TWO = definition_of(stage("one", flow("a", "b")), stage("two", flow("c"), depends_on=("one",)))
RETRIED = definition_of(stage("one", flow(http("a", retry=None), "b")))


def test_a_run_begins_with_everything_pending() -> None:
    status = initial_status(TWO, START, generation=3, resolved_params=(ResolvedParam(name="p", value="v"),))
    assert (status.phase, status.start_time, status.observed_generation) == (Phase.RUNNING, START, 3)
    assert status.resolved_params == (ResolvedParam(name="p", value="v"),)
    assert [node.phase for node in nodes(status)] == [Phase.PENDING] * 7
    assert [stage.name for stage in status.stage_statuses] == ["one", "two"]
    assert status.stage_statuses[1].depends_on == ("one",)
    workflow = status.stage_statuses[0].workflow_executions[0]
    assert workflow.workflow_ref.key == "ns/one-0"
    assert workflow.message == "pending"
    assert [(a.name, a.type, a.message) for a in workflow.action_statuses] == [
        ("a", "HTTP", "pending"),
        ("b", "HTTP", "pending"),
    ]


def test_a_run_with_nothing_to_do_is_over_at_once() -> None:
    status = initial_status(definition_of(stage("one", flow(http("a", when='mode == "delete"')))), START)
    assert (status.phase, status.completion_time, status.duration) == (Phase.SUCCEEDED, START, "0s")


def test_a_start_begins_the_action_its_workflow_and_its_stage() -> None:
    status = fold(TWO, initial_status(TWO, START), ActionStarted(after(2), A, 1))
    one = status.stage_statuses[0]
    workflow = one.workflow_executions[0]
    action = workflow.action_statuses[0]
    assert (one.phase, one.start_time) == (workflow.phase, workflow.start_time) == (Phase.RUNNING, after(2))
    assert (action.phase, action.start_time, action.attempt, action.retry_count) == (Phase.RUNNING, after(2), 1, 0)
    assert action.message == "action a running"
    assert (workflow.current_action, workflow.progress) == ("a", "0/2 actions completed")
    assert status.stage_statuses[1].phase is Phase.PENDING


def test_an_end_has_times_and_a_duration_at_every_level() -> None:
    player = Player(definition_of(stage("one", flow("a"))))
    player.end("a", Succeeded("HTTP GET succeeded with status 200"), seconds=90.5)
    for node in nodes(player.status):
        assert (node.start_time, node.completion_time, node.duration) == (START, after(90.5), "1m30.5s")
    assert player.action("a").message == "HTTP GET succeeded with status 200"
    status = player.status
    assert (status.start_time, status.completion_time, status.duration) == (START, after(90.5), "1m30.5s")


def test_a_failed_attempt_waits_for_the_next_one_and_keeps_its_start() -> None:
    player = Player(RETRIED)
    made = ActionOutputs(resource_ref=CoreReference(kind="ConfigMap", name="x"))
    player.end("a", Failed("refused", outputs=made, retryable=True), seconds=1)
    action = player.action("a")
    assert (action.phase, action.next_attempt_time) == (Phase.RUNNING, after(6))
    assert action.message == "attempt failed, will be repeated: refused"
    assert action.outputs == made
    player.wait(5)
    action = player.action("a")
    assert (action.attempt, action.retry_count, action.next_attempt_time, action.start_time) == (2, 1, None, START)
    player.end("a")
    action = player.action("a")
    assert (action.phase, action.duration, action.attempt, action.outputs) == (Phase.SUCCEEDED, "7s", 2, made)
    assert player.running == ["b"]


def test_later_outputs_replace_earlier_ones() -> None:
    player = Player(RETRIED)
    first, second = (ActionOutputs(job_ref=CoreReference(kind="Job", name=name)) for name in "xy")
    player.end("a", Failed("refused", outputs=first, retryable=True))
    player.wait(10)
    player.end("a", Succeeded("done", outputs=second))
    assert player.action("a").outputs == second


def test_messages_are_cut_at_a_kibibyte() -> None:
    player = Player(RETRIED)
    player.end("a", Failed("€" * 1000, retryable=True))
    assert len(player.action("a").message.encode()) <= 1024
    player.wait(10)
    player.end("a", Failed("€" * 1000))
    assert len(player.action("a").message.encode()) <= 1024
    assert len(player.status.message.encode()) <= 1024


def started(*events: Event) -> DRPlanExecutionStatus:
    status = initial_status(TWO, START)
    for event in events:
        status = fold(TWO, status, event)
    return status


BEGUN = ActionStarted(START, A, 1)
ENDED = ActionFinished(START, A, Phase.SUCCEEDED, "done")


@pytest.mark.parametrize(
    ("before", "event", "message"),
    [
        ([], ENDED, "action 'a' is Pending and cannot become Succeeded"),
        ([], AttemptFailed(START, A, "x", START), "action 'a' is Pending and cannot become Running"),
        ([BEGUN, ENDED], BEGUN, "action 'a' is Succeeded and cannot become Running"),
        ([BEGUN, ENDED], ENDED, "action 'a' is Succeeded and cannot become Succeeded"),
        (
            [BEGUN, ENDED],
            ActionFinished(START, A, Phase.FAILED, "x"),
            "action 'a' is Succeeded and cannot become Failed",
        ),
        ([BEGUN, ENDED], AttemptFailed(START, A, "x", START), "action 'a' is Succeeded and cannot become Running"),
        ([BEGUN], ActionFinished(START, A, Phase.RUNNING, "x"), "action 'a' is Running and cannot become Running"),
        ([BEGUN], ActionFinished(START, A, Phase.UNKNOWN, "x"), "action 'a' is Running and cannot become Unknown"),
        ([], ActionStarted(START, Address(0, 0, 2), 1), "ActionStarted: no action at (0, 0, 2) in this run"),
        ([], ActionStarted(START, Address(2, 0, 0), 1), "ActionStarted: no action at (2, 0, 0) in this run"),
        ([], ActionStarted(START, Address(0, 0, -1), 1), "ActionStarted: no action at (0, 0, -1) in this run"),
        ([CancelRequested(START, "x")], BEGUN, "ActionStarted after the run ended Cancelled"),
        ([CancelRequested(START, "x")], CancelRequested(START, "x"), "CancelRequested after the run ended Cancelled"),
    ],
)
def test_events_that_cannot_follow(before: list[Event], event: Event, message: str) -> None:
    status = started(*before)
    with pytest.raises(IllegalEventError) as caught:
        fold(TWO, status, event)
    assert str(caught.value) == message


def test_a_status_is_never_changed_in_place() -> None:
    status = initial_status(TWO, START)
    before = status.to_wire()
    fold(TWO, status, BEGUN)
    assert status.to_wire() == before


def test_a_cancel_before_anything_began_ends_the_run() -> None:
    status = fold(TWO, initial_status(TWO, START), CancelRequested(after(1), "Execution canceled by user"))
    assert (status.phase, status.message) == (Phase.CANCELLED, "Execution canceled by user")
    assert {(node.phase, node.message) for node in nodes(status)} == {(Phase.SKIPPED, "Canceled by user")}


def test_a_cancel_lets_the_running_action_end_and_records_how() -> None:
    player = Player(TWO)
    player.fold(CancelRequested(after(1), "Execution canceled by user"))
    assert player.phase() is Phase.RUNNING
    assert phases(player.status) == {"a": "Running", "b": "Skipped", "c": "Skipped"}
    player.end("a")
    assert phases(player.status) == {"a": "Succeeded", "b": "Skipped", "c": "Skipped"}
    assert (player.phase(), player.status.message) == (Phase.CANCELLED, "Execution canceled by user")
    assert player.stage("one").phase is Phase.CANCELLED
    assert player.stage("two").phase is Phase.SKIPPED


def test_a_cancel_ends_what_waits_for_a_retry() -> None:
    player = Player(RETRIED)
    player.end("a", Failed("refused", retryable=True))
    player.fold(CancelRequested(player.now, "stop"))
    action = player.action("a")
    assert (action.phase, action.next_attempt_time) == (Phase.CANCELLED, None)
    assert action.message == "Canceled by user while waiting for a retry: refused"
    assert player.phase() is Phase.CANCELLED


def test_a_second_cancel_changes_nothing() -> None:
    player = Player(TWO)
    player.fold(CancelRequested(after(1), "first"))
    before = player.status
    player.fold(CancelRequested(after(2), "second"))
    assert player.status == before


def test_a_run_of_which_the_last_action_ends_well_after_the_cancel_is_cancelled_all_the_same() -> None:
    player = Player(definition_of(stage("one", flow("a"))))
    player.fold(CancelRequested(after(1), "stop"))
    player.end("a")
    assert phases(player.status) == {"a": "Succeeded"}
    assert player.phase() is Phase.CANCELLED


def test_a_suspended_run_stands_still_until_it_is_resumed() -> None:
    player = Player(TWO)
    player.fold(RunSuspended(after(1), "the API server does not answer"))
    assert (player.phase(), player.status.message) == (Phase.UNKNOWN, "the API server does not answer")
    player.end("a")
    assert phases(player.status) == {"a": "Succeeded", "b": "Pending", "c": "Pending"}
    assert player.running == []
    player.fold(RunResumed(after(3)))
    player.start()
    assert (player.phase(), player.status.message, player.running) == (Phase.RUNNING, "", ["b"])


def test_a_cancel_ends_a_suspension() -> None:
    player = Player(TWO)
    player.fold(RunSuspended(after(1), "the API server does not answer"))
    player.fold(CancelRequested(after(2), "stop"))
    assert (player.phase(), player.status.message) == (Phase.RUNNING, "")
    player.end("a")
    assert player.phase() is Phase.CANCELLED


def test_nothing_ends_before_it_began_even_when_the_next_leaders_clock_is_behind() -> None:
    player = Player(definition_of(stage("one", flow("a"))))
    player.end("a", seconds=-30)
    for node in nodes(player.status):
        assert (node.start_time, node.completion_time, node.duration) == (START, START, "0s")
    assert (player.status.completion_time, player.status.duration) == (START, "0s")


def test_a_run_that_never_started_has_no_duration() -> None:
    status = end_run(DRPlanExecutionStatus(observed_generation=1), Phase.CANCELLED, "stop", START)
    assert (status.completion_time, status.duration, status.start_time) == (START, "", None)
