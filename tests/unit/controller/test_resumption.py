"""From what a run is taken up: the sealed status, the journal, and from nothing that somebody else wrote."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from app.engine.decide import conclude
from app.engine.definition import Address
from app.engine.events import ActionStarted, Event
from app.engine.fold import fold, initial_status
from app.engine.outcome import Succeeded
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from controller.journal import Entry
from controller.run.definition import prepare
from controller.run.resumption import CannotResumeError, take_up
from controller.sealing import new_seal_key, seal_of
from controller.status_form import wire_of
from tests.unit.engine.runs import after, flow, snapshot_of, stage

Json = dict[str, Any]
KEY = new_seal_key()


def made() -> tuple[Snapshot, DRPlanExecutionStatus, list[Entry]]:
    """A run whose first action has succeeded, and all that is journalled of it."""
    snapshot = snapshot_of(stage("s", flow("a", "b"))).model_copy(update={"seal_key": KEY})
    definition = prepare(snapshot)
    status = initial_status(definition, after(0))
    address = Address(0, 0, 0)
    events: list[Event] = [ActionStarted(after(1), address, 1)]
    status = fold(definition, status, events[0])
    events.append(conclude(definition, status, address, Succeeded("ok"), after(2), jitter=0.0))
    status = fold(definition, status, events[1]).model_copy(update={"journal_sequence": 2})
    entries = [Entry(snapshot.execution_uid, "ns", "e", number, event) for number, event in enumerate(events, start=1)]
    return snapshot, status, entries


def stored(snapshot: Snapshot, status: DRPlanExecutionStatus) -> Json:
    wire = wire_of(status)
    return {**wire, "seal": seal_of(KEY, snapshot.execution_uid, wire)}


def execution(snapshot: Snapshot, wire: Json) -> DRPlanExecution:
    metadata = {"name": "e", "namespace": "ns", "uid": snapshot.execution_uid}
    return DRPlanExecution.from_wire(
        {"metadata": metadata, "spec": {"planRef": "p", "operationType": "Execute"}, "status": wire}
    )


def test_a_sealed_status_is_gone_on_from() -> None:
    snapshot, status, entries = made()
    wire = stored(snapshot, status)
    taken = take_up(snapshot, execution(snapshot, wire), wire, entries[1:])
    assert taken.touched == ""
    assert taken.status.journal_sequence == 2
    assert taken.status.seal == ""
    assert wire_of(taken.status) == wire_of(status)


def _pop(wire: Json) -> None:
    wire["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"].pop(0)


EDITS: list[Callable[[Json], object]] = [
    lambda wire: wire.update(phase="Failed"),
    lambda wire: wire.update(journalSequence=2**62),
    lambda wire: wire.update(journalSequence=-3),
    lambda wire: wire.update(stageStatuses=[]),
    lambda wire: wire["stageStatuses"][0].update(name="other"),
    lambda wire: wire.update(message="innocent"),
    lambda wire: wire.update(conditions=[]),
    lambda wire: wire.pop("seal"),
    lambda wire: wire.update(seal="0" * 64),
    lambda wire: wire.clear(),
    _pop,
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_touched_status_is_rebuilt_from_a_journal_that_has_all(edit: Callable[[Json], object]) -> None:
    snapshot, status, entries = made()
    wire = copy.deepcopy(stored(snapshot, status))
    edit(wire)
    taken = take_up(snapshot, execution(snapshot, wire), wire, entries)
    assert taken.touched
    actions = taken.status.stage_statuses[0].workflow_executions[0].action_statuses
    assert [action.phase for action in actions] == [Phase.SUCCEEDED, Phase.PENDING]
    assert (taken.status.phase, taken.status.journal_sequence) == (Phase.RUNNING, 2)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kept", [0, 1])
def test_a_touched_status_is_not_gone_on_from_when_the_journal_has_not_all(
    edit: Callable[[Json], object], kept: int
) -> None:
    snapshot, status, entries = made()
    wire = copy.deepcopy(stored(snapshot, status))
    edit(wire)
    with pytest.raises(CannotResumeError, match="was changed by somebody else"):
        take_up(snapshot, execution(snapshot, wire), wire, entries[2 - kept :])


def test_a_status_sealed_for_another_run_does_not_count() -> None:
    snapshot, status, entries = made()
    wire = wire_of(status)
    wire = {**wire, "seal": seal_of(KEY, "another", wire)}
    with pytest.raises(CannotResumeError):
        take_up(snapshot, execution(snapshot, wire), wire, entries[1:])


def test_a_run_of_an_earlier_release_has_no_seal_and_must_fit_its_plan() -> None:
    snapshot, status, entries = made()
    snapshot = snapshot.model_copy(update={"seal_key": ""})
    wire = wire_of(status)
    assert take_up(snapshot, execution(snapshot, wire), wire, []).status.phase is Phase.RUNNING
    _pop(wire)
    with pytest.raises(CannotResumeError, match="do not fit together"):
        take_up(snapshot, execution(snapshot, wire), wire, entries)
