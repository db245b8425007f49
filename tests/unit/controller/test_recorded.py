"""What is recorded of a run: all later entries at once, and all the same where one of them does not fit."""

from __future__ import annotations

from app.engine.decide import conclude
from app.engine.definition import Address
from app.engine.events import ActionStarted, Event
from app.engine.fold import fold, initial_status
from app.engine.outcome import Succeeded
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from controller.journal import Entry
from controller.run.definition import prepare
from controller.run.recorded import recorded_status
from tests.unit.engine.runs import after, flow, snapshot_of, stage

SNAPSHOT = snapshot_of(stage("s", flow("a", "b", "c")))
DEFINITION = prepare(SNAPSHOT)
BEGUN = initial_status(DEFINITION, after(0))


def run() -> tuple[list[Event], list[DRPlanExecutionStatus]]:
    """The events of a run to its end, and how each leaves it."""
    events: list[Event] = []
    statuses = [BEGUN]
    for number in range(3):
        at = Address(0, 0, number)
        events.append(ActionStarted(after(2 * number + 1), at, 1))
        statuses.append(fold(DEFINITION, statuses[-1], events[-1]))
        events.append(conclude(DEFINITION, statuses[-1], at, Succeeded("ok"), after(2 * number + 2), jitter=0.0))
        statuses.append(fold(DEFINITION, statuses[-1], events[-1]))
    return events, statuses


def entries(events: list[Event]) -> list[Entry]:
    return [Entry("u", "ns", "e", number, event) for number, event in enumerate(events, start=1)]


def execution(status: DRPlanExecutionStatus) -> DRPlanExecution:
    spec = {"planRef": "p", "operationType": "Execute"}
    found = DRPlanExecution.from_wire({"metadata": {"name": "e", "namespace": "ns", "uid": "u"}, "spec": spec})
    return found.model_copy(update={"status": status})


def test_from_wherever_a_status_is_the_entries_lead_to_the_same_end() -> None:
    events, statuses = run()
    for covered, status in enumerate(statuses):
        stored = status.model_copy(update={"journal_sequence": covered})
        expected = statuses[-1].model_copy(update={"journal_sequence": len(events)})
        assert recorded_status(DEFINITION, execution(stored), entries(events)) == expected
    assert recorded_status(DEFINITION, execution(BEGUN), []) == BEGUN


def test_an_entry_that_does_not_fit_is_left_out_and_counted() -> None:
    events, statuses = run()
    stray = conclude(DEFINITION, statuses[1], Address(0, 0, 0), Succeeded("again"), after(9), jitter=0.0)
    recorded = recorded_status(DEFINITION, execution(BEGUN), entries([*events[:2], stray, *events[2:]]))
    assert recorded == statuses[-1].model_copy(update={"journal_sequence": len(events) + 1})
