"""What stands out in a run, computed from its status. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.engine.durations import format_duration, parse_duration
from app.models.execution import ActionStatus, DRPlanExecution
from app.models.phases import Phase
from app.service.api.models import ActionFact, Facts

LONGEST = 5
"""How many of the longest actions are named."""

RUNNING_SHOWN = 50
"""How many of the running actions are named."""


@dataclass(frozen=True, slots=True)
class _Placed:
    stage: str
    workflow: str
    action: ActionStatus

    def fact(self) -> ActionFact:
        action = self.action
        return ActionFact(
            stage=self.stage,
            workflow=self.workflow,
            action=action.name,
            phase=action.phase,
            duration=action.duration,
            message=action.message,
        )


def facts_of(execution: DRPlanExecution) -> Facts:
    """The facts of a run."""
    status, created = execution.status, execution.metadata.creation_timestamp
    placed = list(_placed(execution))
    failed = [
        (each.action.completion_time, each)
        for each in placed
        if each.action.phase is Phase.FAILED and each.action.completion_time
    ]
    first = min(failed, key=lambda pair: pair[0])[1] if failed else None
    timed = [(_seconds(each.action), each) for each in placed]
    longest = sorted((pair for pair in timed if pair[0] > timedelta()), key=lambda pair: -pair[0])[:LONGEST]
    running = [each for each in placed if each.action.phase is Phase.RUNNING][:RUNNING_SHOWN]
    return Facts(
        waited=format_duration(max(timedelta(), status.start_time - created)) if status.start_time and created else "",
        duration=status.duration,
        idle=_idle(status.start_time, status.completion_time, (each.action for each in placed)),
        actions=len(placed),
        ended_actions=sum(each.action.phase.is_final for each in placed),
        retries=sum(each.action.retry_count for each in placed),
        first_failure=first.fact() if first else None,
        running=tuple(each.fact() for each in running),
        longest_actions=tuple(each.fact() for _, each in longest),
    )


def _placed(execution: DRPlanExecution) -> Iterator[_Placed]:
    for stage in execution.status.stage_statuses:
        for workflow in stage.workflow_executions:
            for action in workflow.action_statuses:
                yield _Placed(stage.name, workflow.workflow_ref.key, action)


def _seconds(action: ActionStatus) -> timedelta:
    """How long an action took: as recorded, else from its times."""
    try:
        return parse_duration(action.duration)
    except ValueError:
        if action.start_time and action.completion_time:
            return action.completion_time - action.start_time
        return timedelta()


def _idle(start: datetime | None, end: datetime | None, actions: Iterable[ActionStatus]) -> str:
    """The part of a finished run in which no action ran."""
    if start is None or end is None:
        return ""
    spans = sorted(
        (action.start_time, action.completion_time)
        for action in actions
        if action.start_time and action.completion_time
    )
    idle, busy_until = timedelta(), start
    for begun, ended in spans:
        idle += max(timedelta(), begun - busy_until)
        busy_until = max(busy_until, ended)
    return format_duration(idle + max(timedelta(), end - busy_until))
