"""What may start now, and what the end of an attempt means (decision A1)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.engine.decide import Decision, Start, conclude, deadline, decide
from app.engine.definition import Address
from app.engine.events import ActionFinished, ActionStarted, AttemptFailed, CancelRequested
from app.engine.fold import initial_status
from app.engine.outcome import Failed, NothingToDo, Succeeded
from app.models.actions import RetryPolicy
from app.models.execution import ActionOutputs, DRPlanExecutionStatus, HttpResponse
from app.models.phases import Phase
from tests.unit.engine.runs import START, Player, after, definition_of, flow, http, stage

A = Address(0, 0, 0)
OUTPUTS = ActionOutputs(http_response=HttpResponse(status_code=503, body="busy"))


def player_of(*, limit: int | None = None, interval: str = "10s", timeout: str | None = None) -> Player:
    policy = RetryPolicy(limit=limit, interval=interval, backoff_multiplier="2")
    return Player(definition_of(stage("one", flow(http("a", retry=policy, timeout=timeout)))))


def concluded(player: Player, outcome: Failed | Succeeded | NothingToDo, *, seconds: float = 1) -> object:
    return conclude(player.definition, player.status, A, outcome, after(seconds), jitter=0.5)


def test_the_first_attempt_starts_at_once() -> None:
    definition = definition_of(stage("one", flow("a", "b")))
    assert decide(definition, initial_status(definition, START), START) == Decision((Start(A, 1),), None)


def test_nothing_starts_while_an_attempt_runs() -> None:
    assert decide(player_of().definition, player_of().status, after(100)) == Decision()


@pytest.mark.parametrize("phase", [None, Phase.PENDING, Phase.UNKNOWN, Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED])
def test_nothing_starts_in_a_run_that_is_not_running(phase: Phase | None) -> None:
    definition = definition_of(stage("one", flow("a")))
    status = initial_status(definition, START).model_copy(update={"phase": phase})
    assert decide(definition, status, START) == Decision()


def test_a_repetition_starts_when_its_time_has_come_and_not_before() -> None:
    player = player_of()
    player.end("a", Failed("busy", retryable=True))
    assert decide(player.definition, player.status, after(10.9)) == Decision((), after(11))
    assert decide(player.definition, player.status, after(11)) == Decision((Start(A, 2),), None)


def test_the_earliest_repetition_wakes_the_run() -> None:
    quick, slow = (http(name, retry=RetryPolicy(interval=interval)) for name, interval in (("a", "5s"), ("b", "50s")))
    player = Player(definition_of(stage("one", flow(slow), flow(quick), parallel=True)))
    player.end("b", Failed("busy", retryable=True), seconds=0)
    player.end("a", Failed("busy", retryable=True), seconds=0)
    assert decide(player.definition, player.status, START) == Decision((), after(5))


def test_success_and_nothing_to_do() -> None:
    assert concluded(player_of(), Succeeded("done", OUTPUTS)) == ActionFinished(
        after(1), A, Phase.SUCCEEDED, "done", OUTPUTS
    )
    assert concluded(player_of(), NothingToDo("No Job to rollback")) == ActionFinished(
        after(1), A, Phase.SKIPPED, "No Job to rollback"
    )


def test_a_failure_that_is_not_worth_repeating_is_final() -> None:
    assert concluded(player_of(), Failed("status code 404 not in success codes", OUTPUTS)) == ActionFinished(
        after(1), A, Phase.FAILED, "status code 404 not in success codes", OUTPUTS
    )


def test_a_failure_worth_repeating_is_repeated_after_the_interval() -> None:
    assert concluded(player_of(), Failed("busy", OUTPUTS, retryable=True)) == AttemptFailed(
        after(1), A, "busy", after(11), OUTPUTS
    )


def test_the_back_off_grows_and_the_last_failure_names_the_retries() -> None:
    player = player_of(limit=2)
    waits = []
    while player.running:
        player.end("a", Failed("busy", retryable=True), seconds=0)
        waiting = player.action("a").next_attempt_time
        if waiting is not None:
            waits.append((waiting - player.now) / timedelta(seconds=1))
            player.wait(waits[-1])
    assert waits == [10, 20]
    action = player.action("a")
    assert (action.phase, action.message, action.attempt) == (
        Phase.FAILED,
        "action failed after 2 retries: busy",
        3,
    )


def test_a_limit_of_zero_means_no_retry() -> None:
    finished = concluded(player_of(limit=0), Failed("busy", retryable=True))
    assert finished == ActionFinished(after(1), A, Phase.FAILED, "busy")


def test_retry_after_prolongs_the_wait() -> None:
    event = concluded(player_of(), Failed("busy", retryable=True, retry_after=42))
    assert isinstance(event, AttemptFailed)
    assert event.not_before == after(43)


def test_jitter_moves_the_wait_by_a_fifth() -> None:
    player = player_of()
    early, late = (
        conclude(player.definition, player.status, A, Failed("busy", retryable=True), START, jitter=jitter)
        for jitter in (0.0, 0.999999)
    )
    assert isinstance(early, AttemptFailed)
    assert isinstance(late, AttemptFailed)
    assert early.not_before == after(8)
    assert after(11.9) < late.not_before < after(12)


def test_no_attempt_begins_at_or_after_the_time_out() -> None:
    """The time-out is the total from the first start, retries and waits included."""
    player = player_of(timeout="12s")
    assert isinstance(concluded(player, Failed("busy", retryable=True), seconds=1.9), AttemptFailed)
    assert concluded(player, Failed("busy", retryable=True), seconds=2) == ActionFinished(
        after(2), A, Phase.FAILED, "busy"
    )


def test_the_time_out_counts_from_the_first_start() -> None:
    player = player_of(timeout="1m")
    player.end("a", Failed("busy", retryable=True))
    player.wait(10)
    assert player.action("a").attempt == 2
    assert deadline(player.definition, player.status, A) == after(60)


def test_what_has_not_started_does_not_time_out() -> None:
    definition = definition_of(stage("one", flow("a")))
    assert deadline(definition, initial_status(definition, START), A).year == 9999


def test_a_cancelled_run_repeats_nothing() -> None:
    player = player_of()
    player.fold(CancelRequested(START, "stop"))
    assert concluded(player, Failed("busy", retryable=True)) == ActionFinished(after(1), A, Phase.FAILED, "busy")


def test_a_repetition_found_after_a_restart_is_concluded_from_its_record() -> None:
    player = player_of(limit=1)
    player.end("a", Failed("busy", retryable=True))
    player.wait(10)
    status = DRPlanExecutionStatus.from_wire(player.status.to_wire())
    event = conclude(player.definition, status, A, Failed("busy", retryable=True), player.now, jitter=0.5)
    message = "action failed after 1 retries: busy"
    assert event == ActionFinished(player.now, A, Phase.FAILED, message, reason="RetriesExhausted")


def test_starts_of_stages_and_workflows_are_listed_in_definition_order() -> None:
    definition = definition_of(
        stage("one", flow("a", "b"), flow("c"), parallel=True), stage("two", flow("d")), at_once=2
    )
    found = decide(definition, initial_status(definition, START), START).starts
    assert [start.address for start in found] == [(0, 0, 0), (0, 1, 0), (1, 0, 0)]


def test_a_start_that_is_recorded_is_not_decided_again() -> None:
    definition = definition_of(stage("one", flow("a", "b"), flow("c"), parallel=True))
    player = Player(definition, idle=True)
    player.fold(ActionStarted(START, A, 1))
    assert [start.address for start in decide(definition, player.status, START).starts] == [(0, 1, 0)]
