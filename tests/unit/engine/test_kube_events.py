"""Events of a run (contract: lifecycle 11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.engine import kube_events
from app.engine.build import execute_definition
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionStarted, AttemptFailed, CancelRequested
from app.engine.fold import fold_all, initial_status
from app.engine.kube_events import KubeEvent
from app.engine.outcome import Failed
from app.engine.revert import revert_definition
from app.models.actions import RetryPolicy
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Operation, Phase
from tests.unit.engine.runs import START, Player, definition_of, flow, http, revert_of, snapshot_of, stage

UNDO = {"http": {"url": "http://site.invalid/undo"}}


class Teller(Player):
    """A player that collects what is told."""

    def __init__(self, definition: RunDefinition) -> None:
        self.told: list[KubeEvent] = []
        super().__init__(definition)

    def fold(self, event: object) -> None:
        before = self.status
        super().fold(event)
        self.told += kube_events.changes(self.definition, before, self.status)

    def texts(self) -> list[str]:
        return [f"{note.type} {note.reason}: {note.message}" for note in self.told]


def test_starts_of_runs() -> None:
    snapshot = snapshot_of(stage("one", flow("a")))
    assert kube_events.started(execute_definition(snapshot)) == KubeEvent(
        "Normal", "ExecutionStarted", "Started executing plan plan (operation=Execute)"
    )
    revert = revert_definition(revert_of(snapshot, DRPlanExecutionStatus()))
    assert kube_events.started(revert) == KubeEvent("Normal", "RevertStarted", "Started reverting plan plan")


def test_a_run_that_succeeds() -> None:
    teller = Teller(definition_of(stage("one", flow("a")), stage("two", flow("b"), parallel=True)))
    teller.play()
    assert teller.texts() == [
        "Normal StageStarted: Started executing stage one (mode=sequential)",
        "Normal WorkflowStarted: Started executing workflow ns/one-0",
        "Normal ActionStarted: Started executing action a (type=HTTP)",
        "Normal ActionSucceeded: Action a succeeded",
        "Normal WorkflowSucceeded: Workflow ns/one-0 succeeded (duration=1s)",
        "Normal StageSucceeded: Stage one succeeded (duration=1s)",
        "Normal StageStarted: Started executing stage two (mode=parallel)",
        "Normal WorkflowStarted: Started executing workflow ns/two-0",
        "Normal ActionStarted: Started executing action b (type=HTTP)",
        "Normal ActionSucceeded: Action b succeeded",
        "Normal WorkflowSucceeded: Workflow ns/two-0 succeeded (duration=1s)",
        "Normal StageSucceeded: Stage two succeeded (duration=1s)",
        "Normal ExecutionSucceeded: Execution succeeded: All stages completed successfully",
    ]
    assert {note.reason for note in teller.told if note.ordinary} == {
        "WorkflowStarted",
        "ActionStarted",
        "ActionSucceeded",
        "WorkflowSucceeded",
    }


def test_a_run_that_fails_after_a_retry() -> None:
    teller = Teller(definition_of(stage("one", flow(http("a", retry=None), "b")), stage("two", flow("c"))))
    teller.told.clear()
    teller.end("a", Failed("busy", retryable=True))
    teller.wait(10)
    teller.end("a", Failed("gone"))
    assert teller.texts() == [
        "Warning ActionRetrying: Action a retrying (attempt=2) at 2026-03-01T08:00:06Z: busy",
        "Warning ActionFailed: Action a failed: gone",
        "Warning WorkflowFailed: Workflow ns/one-0 failed: action a failed: gone",
        "Warning StageFailed: Stage one failed: workflow ns/one-0 failed: action a failed: gone",
        'Normal StageSkipped: Stage two skipped: Not started: stage "one" failed (failurePolicy Stop)',
        "Warning ExecutionFailed: Execution failed: Stage one failed: workflow ns/one-0 failed: action a failed: gone",
    ]
    assert not any(note.ordinary for note in teller.told), "failures and retries are never dropped"


def test_each_retry_is_told_once_as_a_warning_of_one_series_with_its_cause() -> None:
    teller = Teller(definition_of(stage("one", flow(http("a", retry=RetryPolicy(limit=9, interval="1s"))))))
    teller.told.clear()
    for cause in ("busy", "refused"):
        teller.end("a", Failed(cause, retryable=True))
        teller.wait(10)
    assert [(note.type, note.reason, note.repeats, note.series) for note in teller.told] == [
        ("Warning", "ActionRetrying", True, "0/0/0")
    ] * 2
    assert [note.message.rpartition("Z: ")[2] for note in teller.told] == ["busy", "refused"]


def test_a_retry_without_any_waiting_is_told_with_its_start() -> None:
    definition = definition_of(stage("one", flow(http("a", retry=RetryPolicy(limit=9)))))
    before = Player(definition).status
    at = Address(0, 0, 0)
    after_both = fold_all(
        definition, before, [AttemptFailed(START, at, "busy", START), ActionStarted(START, at, attempt=2)]
    )
    [note] = kube_events.changes(definition, before, after_both)
    assert (note.type, note.message) == ("Warning", "Action a retrying (attempt=2): busy")


def first_notes(definition: RunDefinition) -> list[KubeEvent]:
    """What is told of everything that starts at once."""
    return list(kube_events.changes(definition, initial_status(definition, START), Player(definition).status))


def test_equal_names_of_actions_are_told_apart() -> None:
    parts = (stage("one", flow("a", "b"), flow("a"), parallel=True), stage("two", flow("c")))
    told = first_notes(definition_of(*parts, at_once=2))
    assert [note.message for note in told if note.reason == "ActionStarted"] == [
        "Started executing action a (type=HTTP) of workflow ns/one-0",
        "Started executing action a (type=HTTP) of workflow ns/one-1",
        "Started executing action c (type=HTTP)",
    ]
    assert len({(note.reason, note.series) for note in told}) == len(told)


def test_one_workflow_that_is_used_twice_is_told_apart() -> None:
    definition = definition_of(stage("one", flow("a")), stage("two", flow("a")), at_once=2)
    one, two = definition.stages
    told = first_notes(replace(definition, stages=(one, replace(two, workflows=one.workflows))))
    assert [note.message for note in told if note.reason != "StageStarted"] == [
        "Started executing workflow ns/one-0 (stage one)",
        "Started executing action a (type=HTTP) of workflow ns/one-0 (stage one)",
        "Started executing workflow ns/one-0 (stage two)",
        "Started executing action a (type=HTTP) of workflow ns/one-0 (stage two)",
    ]


def test_what_ended_is_told_before_what_follows_from_it_whatever_the_order_of_the_lists() -> None:
    one = stage("app", flow(http("late", "early"), "early"), depends_on=("base",))
    teller = Teller(definition_of(one, stage("base", flow("x"))))
    teller.play()
    assert [text.partition(": ")[2] for text in teller.texts()] == [
        "Started executing stage base (mode=sequential)",
        "Started executing workflow ns/base-0",
        "Started executing action x (type=HTTP)",
        "Action x succeeded",
        "Workflow ns/base-0 succeeded (duration=1s)",
        "Stage base succeeded (duration=1s)",
        "Started executing stage app (mode=sequential)",
        "Started executing workflow ns/app-0",
        "Started executing action early (type=HTTP)",
        "Action early succeeded",
        "Started executing action late (type=HTTP)",
        "Action late succeeded",
        "Workflow ns/app-0 succeeded (duration=2s)",
        "Stage app succeeded (duration=2s)",
        "Execution succeeded: All stages completed successfully",
    ]


def test_a_run_that_is_cancelled() -> None:
    teller = Teller(definition_of(stage("one", flow("a", "b"))))
    teller.told.clear()
    teller.fold(CancelRequested(teller.now, "stop"))
    assert teller.told == []
    teller.end("a")
    assert teller.texts() == [
        "Normal ActionSucceeded: Action a succeeded",
        "Warning WorkflowFailed: Workflow ns/one-0 failed: stopped after 1 of 2 actions: Canceled by user",
        "Warning StageFailed: Stage one failed: stopped after 1 of 2 actions: Canceled by user",
        "Warning ExecutionCancelled: Execution canceled by user",
    ]


def test_a_failure_known_before_anything_started_is_told_as_well() -> None:
    teller = Teller(definition_of(stage("one", flow("a")), stage("two", flow(http("b", when="nonsense"), "c"))))
    teller.end("a")
    assert [note.reason for note in teller.told[-6:]] == [
        "StageStarted",
        "WorkflowStarted",
        "ActionFailed",
        "WorkflowFailed",
        "StageFailed",
        "ExecutionFailed",
    ]


def test_nothing_is_told_when_nothing_changed() -> None:
    teller = Teller(definition_of(stage("one", flow("a"))))
    assert list(kube_events.changes(teller.definition, teller.status, teller.status)) == []


@pytest.mark.parametrize(
    ("operation", "phase", "expected"),
    [
        (Operation.EXECUTE, Phase.SUCCEEDED, KubeEvent("Normal", "ExecutionSucceeded", "Execution succeeded: m")),
        (Operation.EXECUTE, Phase.FAILED, KubeEvent("Warning", "ExecutionFailed", "Execution failed: m")),
        (Operation.EXECUTE, Phase.CANCELLED, KubeEvent("Warning", "ExecutionCancelled", "m")),
        (Operation.REVERT, Phase.SUCCEEDED, KubeEvent("Normal", "RevertSucceeded", "Revert succeeded: m")),
        (Operation.REVERT, Phase.FAILED, KubeEvent("Warning", "RevertFailed", "Revert failed: m")),
        (Operation.REVERT, Phase.CANCELLED, KubeEvent("Warning", "ExecutionCancelled", "m")),
    ],
)
def test_ends_of_runs(operation: Operation, phase: Phase, expected: KubeEvent) -> None:
    assert kube_events.ended(operation, DRPlanExecutionStatus(phase=phase, message="m")) == expected


def test_a_revert_tells_what_it_rolls_back() -> None:
    snapshot = snapshot_of(stage("one", flow(http("a", rollback=UNDO))))
    teller = Teller(revert_definition(revert_of(snapshot, Player(execute_definition(snapshot)).play())))
    teller.play()
    assert teller.texts()[-1] == (
        "Normal RevertSucceeded: Revert succeeded: Plan reverted successfully: 1 stage(s) rolled back, "
        "1 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
