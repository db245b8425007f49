"""What may have been done and must not be done twice: the run stands still and asks, and goes on as it is told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from app.engine.decide import deadline, decide
from app.engine.definition import Address
from app.engine.events import AttemptFailed, CancelRequested, ObjectsMade, RunSuspended, decode, encode
from app.engine.fold import fold_all
from app.engine.outcome import Failed, Succeeded
from app.engine.question import AGAIN, DONE, answered, question, undecided_actions
from app.models.actions import RetryPolicy
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus
from app.models.phases import Phase
from tests.unit.engine.runs import Player, after, definition_of, flow, http, stage

A = Address(0, 0, 0)
LOST = Failed("the connection broke", undecided=True)


def asked(limit: int = 0) -> Player:
    """A run that stands still over its first action."""
    first = http("a", retry=RetryPolicy(limit=limit), timeout="1m")
    player = Player(definition_of(stage("one", flow(first, http("b")))))
    player.end("a", LOST)
    player.fold(RunSuspended(after(1), question(player.status, "ns", "e")))
    return player


def after_answer(player: Player, answer: str, seconds: float) -> DRPlanExecutionStatus:
    return fold_all(player.definition, player.status, answered(player.status, answer, after(seconds)))


def test_an_undecided_attempt_is_no_end_and_no_retry_whatever_the_policy_says() -> None:
    player = asked(limit=0)
    action = player.action("a")
    assert (action.phase, action.undecided, action.attempt) == (Phase.RUNNING, True, 1)
    assert action.message == "it is not known whether this was done: the connection broke"
    assert player.phase() is Phase.UNKNOWN
    assert decide(player.definition, player.status, after(1000)).starts == ()
    running = player.status.model_copy(update={"phase": Phase.RUNNING})
    assert decide(player.definition, running, after(1000)).starts == ()


def test_the_question_names_action_cause_and_all_answers_and_fits_into_a_message() -> None:
    text = question(asked().status, "ns", "e")
    assert text.startswith("action a: it is not known whether this was done: the connection broke. ")
    assert "kubectl annotate drpe e -n ns dr.bkbcs.tencent.com/resume=done if it was" in text
    assert "dr.bkbcs.tencent.com/resume=true to do it now" in text
    assert "dr.bkbcs.tencent.com/cancel=true to cancel" in text
    player = asked()
    action = player.action("a").model_copy(update={"message": "ő" * 1000})
    many = player.status.stage_statuses[0].workflow_executions[0].model_copy(update={"action_statuses": (action,) * 9})
    long = player.status.stage_statuses[0].model_copy(update={"workflow_executions": (many,)})
    status = player.status.model_copy(update={"stage_statuses": (long,)})
    assert len(question(status, "n" * 63, "e" * 253).encode()) <= 1024


def test_told_that_it_was_done_the_run_goes_on_behind_it() -> None:
    player = asked()
    player.status = after_answer(player, DONE, 2)
    assert player.action("a").phase is Phase.SUCCEEDED
    assert player.action("a").message.startswith("taken as done, as an operator said; before, it is not known")
    player.now = after(2)
    player.start()
    assert player.running == ["b"]


def test_told_to_do_it_again_the_run_does_with_the_whole_time_out() -> None:
    player = asked()
    player.status = after_answer(player, AGAIN, 3600)
    assert undecided_actions(player.status) == []
    player.now = after(3600)
    player.start()
    assert player.running == ["a"]
    assert (player.action("a").attempt, player.action("a").undecided) == (2, False)
    assert deadline(player.definition, player.status, A) == after(3600) + timedelta(minutes=1)
    player.end("a")
    assert player.running == ["b"]


def test_what_is_done_again_is_known_until_the_next_attempt_has_told_something() -> None:
    """Until then an attempt may make what an earlier one had made; after a crash it is asked about anew."""
    gone = ActionOutputs(job_ref=CoreReference(kind="Job", namespace="ns", name="j", uid="1"))
    player = Player(definition_of(stage("one", flow("a"))))
    player.fold(ObjectsMade(player.now, A, gone))
    assert player.action("a").outputs == gone
    player.end("a", Failed("it is gone", undecided=True))
    assert (player.action("a").undecided, player.action("a").again) == (True, False)
    player.fold(RunSuspended(player.now, "why"))
    player.status = after_answer(player, AGAIN, 3)
    assert player.action("a").again
    player.start()
    assert (player.action("a").again, player.action("a").outputs) == (True, gone)
    anew = ActionOutputs(job_ref=CoreReference(kind="Job", namespace="ns", name="j", uid="2"))
    player.fold(ObjectsMade(player.now, A, anew))
    assert (player.action("a").again, player.action("a").outputs) == (False, anew)
    player.end("a", Succeeded("done", anew))
    assert not player.action("a").again


def test_an_end_by_the_operator_may_be_the_end_of_the_run() -> None:
    player = Player(definition_of(stage("one", flow("a"))))
    player.end("a", LOST)
    player.fold(RunSuspended(after(1), "why"))
    events = answered(player.status, DONE, after(2))
    status = fold_all(player.definition, player.status, events)
    assert status.phase is Phase.SUCCEEDED
    folded = player.status
    for event in events:
        player.fold(decode(json.loads(json.dumps(encode(event)))))
    assert player.status == status != folded


@pytest.mark.parametrize("answer", [AGAIN, DONE])
def test_several_are_answered_together(answer: str) -> None:
    player = Player(definition_of(stage("one", flow("a"), flow("b"), parallel=True)))
    player.end("a", LOST)
    player.fold(RunSuspended(after(1), "why"))
    player.end("b", LOST)
    assert [action.name for _, action in undecided_actions(player.status)] == ["a", "b"]
    assert "action a: " in question(player.status, "ns", "e")
    assert "action b: " in question(player.status, "ns", "e")
    status = after_answer(player, answer, 3)
    assert undecided_actions(status) == []


def test_a_cancel_ends_it_and_says_so() -> None:
    player = asked()
    player.fold(CancelRequested(after(2), "Canceled by user"))
    assert player.phase() is Phase.CANCELLED
    action = player.action("a")
    assert (action.phase, action.undecided) == (Phase.CANCELLED, False)
    assert action.message == "Canceled by user; it is not known whether this was done: the connection broke"


def test_after_a_cancel_nobody_is_asked() -> None:
    player = Player(definition_of(stage("one", flow("a"))))
    player.fold(CancelRequested(after(1), "Canceled by user"))
    player.end("a", LOST)
    assert player.action("a").phase is Phase.FAILED
    assert player.action("a").message == "it is not known whether this was done: the connection broke"


def test_the_mark_is_in_the_journal_only_where_it_says_something() -> None:
    marked = AttemptFailed(after(1), A, "why", after(1), undecided=True)
    assert encode(marked)["undecided"] is True
    assert decode(encode(marked)) == marked
    plain = AttemptFailed(after(1), A, "why", after(1))
    assert "undecided" not in encode(plain)
    assert decode(encode(plain)) == plain
