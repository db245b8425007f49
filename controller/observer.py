"""What is counted and traced of a run, from the events that are committed and the statuses they lead to."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, ActionStarted, Event
from app.engine.tree import action_at
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.runtime import metrics
from controller.traces import RunTrace


def observe(
    definition: RunDefinition,
    events: Sequence[Event],
    old: DRPlanExecutionStatus,
    new: DRPlanExecutionStatus,
    trace: RunTrace | None,
) -> None:
    """Count `events` once they are committed, and trace what ended by them; they led from `old` to `new`."""
    for event in events:
        if isinstance(event, ActionStarted):
            type_ = _type(definition, event.address)
            metrics.action_attempts_total.labels(type_).inc()
            if event.attempt > 1:
                metrics.action_retries_total.labels(type_).inc()
        elif isinstance(event, ActionFinished):
            _count_end(definition, event, new, trace)
    if trace is not None:
        trace.follow(old, new, events)


def _count_end(
    definition: RunDefinition, event: ActionFinished, status: DRPlanExecutionStatus, trace: RunTrace | None
) -> None:
    type_ = _type(definition, event.address)
    if event.phase is Phase.FAILED:
        metrics.action_failures_total.labels(type_).inc()
    start = action_at(status, event.address).start_time
    if start is not None:
        seconds = max(0.0, (event.at - start).total_seconds())
        exemplar = trace.exemplar(event.address) if trace is not None else None
        metrics.action_duration_seconds.labels(type_, event.phase).observe(seconds, exemplar)


def _type(definition: RunDefinition, address: Address) -> str:
    return metrics.action_type(definition.action(address).type)
