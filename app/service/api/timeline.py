"""What happened in a run, in order, from its status. Pure functions.

Times of a status are whole seconds, so entries of one second keep the order of the record: a part starts before
what it contains and ends after it. Entries without a time stand behind what the record has before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.models.execution import ActionStatus, DRPlanExecution, StageStatus, WorkflowExecutionStatus
from app.models.phases import Phase
from app.service.api.facts import facts_of
from app.service.api.models import Timeline, TimelineEntry
from app.service.api.records import EPOCH, item_of


@dataclass(frozen=True, slots=True)
class _Part:
    """What all levels have in common."""

    level: str
    phase: Phase
    start: datetime | None
    end: datetime | None
    duration: str
    message: str
    where: dict[str, Any]


def timeline_of(execution: DRPlanExecution) -> Timeline:
    """The timeline of a run."""
    moment = execution.metadata.creation_timestamp or EPOCH
    placed: list[tuple[datetime, TimelineEntry]] = []
    for entry in _run(execution):
        moment = entry.time or moment
        placed.append((moment, entry))
    placed.sort(key=lambda pair: pair[0])
    entries = tuple(entry for _, entry in placed)
    return Timeline(execution=item_of(execution), facts=facts_of(execution), entries=entries)


def _run(execution: DRPlanExecution) -> Iterator[TimelineEntry]:
    status = execution.status
    part = _Part(
        "plan", execution.phase, status.start_time, status.completion_time, status.duration, status.message, {}
    )
    if execution.metadata.creation_timestamp:
        yield TimelineEntry(time=execution.metadata.creation_timestamp, level="plan", event="created")
    yield from _begin(part)
    for stage in status.stage_statuses:
        yield from _stage(stage)
    yield from _end(part)


def _stage(stage: StageStatus) -> Iterator[TimelineEntry]:
    where = {"stage": stage.name}
    part = _Part("stage", stage.phase, stage.start_time, stage.completion_time, stage.duration, stage.message, where)
    yield from _begin(part)
    for index, workflow in enumerate(stage.workflow_executions):
        yield from _workflow(workflow, {**where, "workflow": workflow.workflow_ref.key, "workflow_index": index})
    yield from _end(part)


def _workflow(workflow: WorkflowExecutionStatus, where: dict[str, Any]) -> Iterator[TimelineEntry]:
    part = _Part(
        "workflow",
        workflow.phase,
        workflow.start_time,
        workflow.completion_time,
        workflow.duration,
        workflow.message,
        where,
    )
    yield from _begin(part)
    for action in workflow.action_statuses:
        yield from _action(action, {**where, "action": action.name})
    yield from _end(part)


def _action(action: ActionStatus, where: dict[str, Any]) -> Iterator[TimelineEntry]:
    part = _Part(
        "action", action.phase, action.start_time, action.completion_time, action.duration, action.message, where
    )
    yield from _begin(part)
    if action.retry_count:
        yield TimelineEntry(level="action", event="retried", phase=part.phase, retries=action.retry_count, **where)
    if action.next_attempt_time and not part.phase.is_final:
        due, text = action.next_attempt_time, action.message
        yield TimelineEntry(level="action", event="scheduled", phase=part.phase, due=due, message=text, **where)
    yield from _end(part)


def _begin(part: _Part) -> Iterator[TimelineEntry]:
    if part.start is not None:
        running = part.phase if not part.phase.is_final else Phase.RUNNING
        yield TimelineEntry(time=part.start, level=part.level, event="started", phase=running, **part.where)


def _end(part: _Part) -> Iterator[TimelineEntry]:
    if not part.phase.is_final:
        return
    event = "skipped" if part.phase is Phase.SKIPPED else "finished"
    yield TimelineEntry(
        time=part.end,
        level=part.level,
        event=event,
        phase=part.phase,
        duration=part.duration,
        message=part.message,
        **part.where,
    )
