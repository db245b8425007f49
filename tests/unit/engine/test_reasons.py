"""Reasons of nodes: every end has its own, the engine goes by them alone, and statuses without any are translated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.engine.abandon import abandoned
from app.engine.events import ActionFinished, CancelRequested, RunResumed, RunSuspended
from app.engine.fold import fold
from app.engine.outcome import Failed
from app.engine.record import claims_digest, differences
from app.engine.shrink import minimal
from app.models.execution import DRPlanExecutionStatus, execution_status_from_wire
from app.models.phases import Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.reasons import KEPT_BACK, NodeReason
from app.models.suspension import Reason
from tests.unit.engine.runs import Player, after, definition_of, find, flow, http, nodes, phases, stage

GO_ON = WorkflowPolicy.CONTINUE
PLAYERS = {
    "FailFast": lambda: Player(definition_of(stage("one", flow("a", "b", "c")))),
    "DependencyFailed": lambda: Player(
        definition_of(
            stage("one", flow(http("a"), http("b", "a"), http("c", "b"), policy=GO_ON)),
            stage("two", flow("d"), depends_on=("one",)),
            policy=PlanPolicy.CONTINUE,
        )
    ),
    "Stop": lambda: Player(definition_of(stage("one", flow("a")), stage("two", flow("b")), stage("three", flow("c")))),
    "stage FailFast": lambda: Player(
        definition_of(
            stage("one", flow("a"), flow("b"), flow("c"), policy=StagePolicy.FAIL_FAST), policy=PlanPolicy.CONTINUE
        )
    ),
    "Stop beside others": lambda: Player(
        definition_of(stage("one", flow("a")), stage("two", flow("b", "c", "d")), at_once=2)
    ),
    "cut short": lambda: Player(definition_of(stage("one", flow(http("a"), http("b"), http("c", "b"), policy=GO_ON)))),
    "condition": lambda: Player(
        definition_of(stage("one", flow(http("a"), http("b", when="mode == upgrade"), http("c", "b"))))
    ),
}


def reasons(status: DRPlanExecutionStatus) -> dict[str, str]:
    """The reason of each action that has one."""
    found = {action.name: action.reason for s in status.stage_statuses for w in s.workflow_executions
             for action in w.action_statuses}  # fmt: skip
    return {name: str(reason) for name, reason in found.items() if reason}


def test_what_a_failure_keeps_back_says_so_in_a_word() -> None:
    player = PLAYERS["FailFast"]()
    player.play(failing="a")
    assert reasons(player.status) == {"a": "ActionFailed", "b": "FailurePolicy", "c": "FailurePolicy"}
    [one] = player.status.stage_statuses
    assert (one.workflow_executions[0].reason, one.reason) == ("ActionFailed", "WorkflowFailed")
    assert player.status.reason == "ActionFailed"

    player = PLAYERS["DependencyFailed"]()
    player.play(failing="a")
    assert reasons(player.status) == {
        "a": "ActionFailed", "b": "DependencyFailed", "c": "DependencyFailed", "d": "DependencyFailed",
    }  # fmt: skip
    assert player.stage("two").reason == player.stage("two").workflow_executions[0].reason == "DependencyFailed"

    player = PLAYERS["Stop"]()
    player.play(failing="a")
    assert reasons(player.status) == {"a": "ActionFailed", "b": "FailurePolicy", "c": "FailurePolicy"}
    assert player.stage("three").reason == "FailurePolicy"


def test_a_workflow_that_others_cut_short_says_whose_doing_it_was() -> None:
    player = PLAYERS["Stop beside others"]()
    player.end("a", Failed("boom"))
    player.end("b")
    workflow = player.stage("two").workflow_executions[0]
    assert (workflow.phase, workflow.reason) == (Phase.CANCELLED, NodeReason.FAILURE_POLICY)
    assert (player.stage("two").phase, player.stage("two").reason) == (Phase.CANCELLED, NodeReason.FAILURE_POLICY)


def test_what_a_cancel_ends_says_so_at_every_level() -> None:
    player = Player(definition_of(stage("one", flow("a", "b")), stage("two", flow("c"))))
    player.fold(CancelRequested(player.now, "any words at all"))
    assert reasons(player.status) == {"b": "Cancelled", "c": "Cancelled"}
    player.end("a")
    assert [each.reason for each in player.status.stage_statuses] == ["Cancelled", "Cancelled"]
    assert player.status.reason == "Cancelled"


def test_conditions_and_what_succeeds() -> None:
    player = PLAYERS["condition"]()
    player.play()
    assert phases(player.status) == {"a": "Succeeded", "b": "Skipped", "c": "Succeeded"}
    assert reasons(player.status) == {"b": "ConditionFalse"}
    assert player.status.stage_statuses[0].reason == player.status.reason == ""
    broken = Player(definition_of(stage("one", flow(http("a", when="mode is upgrade")))))
    assert reasons(broken.status) == {"a": "ConditionInvalid"}


def test_a_run_that_stands_still_and_one_that_is_lost() -> None:
    player = PLAYERS["FailFast"]()
    player.fold(RunSuspended(player.now, "look", Reason.JOURNAL_INCOMPLETE))
    assert player.status.reason == "JournalIncomplete"
    player.fold(RunResumed(player.now))
    assert player.status.reason == ""
    lost = abandoned(player.status, "gone", after(9))
    assert {node.reason for node in nodes(lost)} == {lost.reason} == {"RunLost"}
    player.fold(CancelRequested(player.now, "x"))
    player.end("a", Failed("who knows", undecided=True))
    assert reasons(player.status)["a"] == "OutcomeUnknown"


def test_every_reason_is_of_the_closed_list() -> None:
    for make in PLAYERS.values():
        player = make()
        player.play(failing="a")
        for node in nodes(player.status):
            told = node.phase in (Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED)
            assert (node.reason in set(NodeReason)) is told, node


def without_reasons(status: DRPlanExecutionStatus) -> dict[str, Any]:
    """A status as a release stores it that knows no reasons."""

    def cleared(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: cleared(value) for name, value in node.items() if name not in ("reason", "lastFailure")}
        return [cleared(each) for each in node] if isinstance(node, list) else node

    stored = {**status.to_wire(), "conditions": []}
    found = {**cleared(stored), "conditions": status.to_wire().get("conditions", [])}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


@pytest.mark.parametrize("restart_at", range(4))
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", PLAYERS)
def test_a_status_of_an_earlier_release_goes_on_as_if_it_had_reasons(name: str, restart_at: int, short: bool) -> None:
    """Each run is played twice: once stored without reasons in between, whole and in its shortest form."""
    ends = []
    for is_stored in (False, True):
        player = PLAYERS[name]()
        for number in range(8):
            if is_stored and number == restart_at:
                form = minimal(player.status) if short else player.status
                player.status = execution_status_from_wire(without_reasons(form))
            if not player.running:
                break
            player.end(player.running[0], Failed("boom") if player.running[0] == "a" else None)
        ends.append(player.status)
    assert phases(ends[0]) == phases(ends[1])
    kept = [{node.reason for node in nodes(end) if node.reason in KEPT_BACK} for end in ends]
    assert kept[0] == kept[1] or (short and len(kept[0]) == len(kept[1]) == 1)
    levels = [[(each.phase, w.phase) for each in end.stage_statuses for w in each.workflow_executions] for end in ends]
    assert levels[0] == levels[1]


@pytest.mark.parametrize(
    ("phase", "message", "reason"),
    [
        ("Skipped", "Canceled by user", "Cancelled"),
        ("Skipped", "Canceled due to parallel failure", "FailurePolicy"),
        ("Canceled", "canceled due to FailFast", "FailurePolicy"),
        ("Skipped", 'Not started: stage "Not started: x" failed (failurePolicy Stop)', "FailurePolicy"),
        ("Skipped", 'Not started: action "a-long-name" it dep...', "FailurePolicy"),
        ("Skipped", 'Not started: action "a" it depends on did not succeed', "DependencyFailed"),
        ("Skipped", "Not started: its snapshot was removed", "RunLost"),
        ("Skipped", "when not matched: mode=install, expected one of [upgrade]", ""),
        ("Skipped", "Original action phase was Skipped, skipped rollback", ""),
        ("Succeeded", "Not started: is what this one answered", ""),
        ("Failed", "Canceled by user says the server", ""),
        ("Pending", "Not started: yet", ""),
    ],
)
def test_what_earlier_messages_mean(phase: str, message: str, reason: str) -> None:
    action = {"name": "a", "phase": phase, "message": message}
    workflow = {"workflowRef": {"name": "w"}, "phase": phase, "message": message, "actionStatuses": [action]}
    found = {"name": "s", "phase": phase, "message": message, "workflowExecutions": [workflow]}
    read = execution_status_from_wire({"phase": "Running", "stageStatuses": [found]})
    assert {node.reason for node in nodes(read)} == {reason}
    given = {**action, "reason": "NothingToDo"}
    workflow["actionStatuses"] = [given]
    kept = execution_status_from_wire({"stageStatuses": [found]}).stage_statuses[0].workflow_executions[0]
    assert kept.action_statuses[0].reason == "NothingToDo"


def test_a_record_without_reasons_is_no_difference_and_stands_for_the_same_claims() -> None:
    player = PLAYERS["DependencyFailed"]()
    player.play(failing="a")
    stored = without_reasons(player.status)
    read = execution_status_from_wire(stored)
    assert differences(read, execution_status_from_wire(stored)) == []
    assert claims_digest("u", read.to_wire()) == claims_digest("u", player.status.to_wire())
    assert claims_digest("u", stored) == claims_digest("u", read.to_wire())


def test_an_event_of_an_earlier_release_has_the_reason_of_its_phase() -> None:
    player = PLAYERS["FailFast"]()
    address, _ = find(player.status, "a")
    for phase, reason in ((Phase.FAILED, "ActionFailed"), (Phase.CANCELLED, "Cancelled"), (Phase.SUCCEEDED, "")):
        event = ActionFinished(player.now, address, phase, "x")
        assert find(fold(player.definition, player.status, event), "a")[1].reason == reason


def test_words_do_not_count() -> None:
    """Messages that somebody reworded, or that a node happens to have, change nothing of what a run does."""
    player = PLAYERS["DependencyFailed"]()
    wire = player.status.to_wire()
    actions = wire["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"]
    actions[1] |= {"phase": "Skipped", "reason": "ConditionFalse", "message": "Not started: when did not hold"}
    player.status = DRPlanExecutionStatus.from_wire(wire)
    player.end("a")
    assert find(player.status, "c")[1].phase is Phase.RUNNING

    player = PLAYERS["DependencyFailed"]()
    wire = player.status.to_wire()
    actions = wire["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"]
    actions[1] |= {"phase": "Skipped", "reason": "FailurePolicy", "message": "nicht begonnen"}
    player.status = DRPlanExecutionStatus.from_wire(wire)
    player.end("a")
    assert find(player.status, "c")[1].phase is Phase.SKIPPED
