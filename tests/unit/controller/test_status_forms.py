"""A status is made ready for the wire part by part, and is the same as in one go."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.models.common import ObjectReference
from app.models.dumping import dumped
from app.models.execution import ActionStatus, DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Phase
from controller.folding import MOST_INLINE
from controller.status_form import shrunk_wire, wire_in_turns, wire_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def status(stages: int, workflows: int, actions: int) -> DRPlanExecutionStatus:
    each = tuple(ActionStatus(name=f"a{n}", phase=Phase.SUCCEEDED, start_time=AT, message="m") for n in range(actions))
    used = WorkflowExecutionStatus(
        workflow_ref=ObjectReference(name="w"), phase=Phase.SUCCEEDED, action_statuses=each, message="w"
    )
    one = StageStatus(name="s", phase=Phase.SUCCEEDED, workflow_executions=(used,) * workflows, start_time=AT)
    return DRPlanExecutionStatus(phase=Phase.SUCCEEDED, stage_statuses=(one,) * stages, message="x", start_time=AT)


@pytest.mark.parametrize(
    "shape", [(0, 0, 0), (1, 1, 1), (2, 0, 0), (1, 1, MOST_INLINE + 1), (1, MOST_INLINE + 1, 1), (3, 2, 500)]
)
async def test_parts_make_the_whole(shape: tuple[int, int, int]) -> None:
    found = status(*shape)
    assert dumped(found) == found.to_wire()
    assert shrunk_wire(found) == found.to_wire()
    assert await wire_in_turns(found) == wire_of(found)
