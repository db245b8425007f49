"""What is counted and traced of a run, from the events that are committed and the statuses they lead to."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine import kube_events
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, ActionStarted, Event
from app.engine.tree import action_at
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.phases import Operation, Phase
from app.runtime import metrics
from app.runtime.tracing import identity_of
from controller.run.traces import RunTrace, record_execution
from controller.services import Services


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


def count_end(services: Services, execution: DRPlanExecution, trace: RunTrace | None = None) -> None:
    """Count the end of a run in the metrics (decision O3), and record its span; `trace` is that of one driven here."""
    operation, status = execution.spec.operation_type, execution.status
    if status.phase is None:
        return
    metrics.executions_total.labels(operation=operation.value, phase=status.phase.value).inc()
    if operation is Operation.REVERT:
        metrics.rollbacks_total.labels("Undo", status.phase.value, _rollback_reason(status)).inc()
    if status.start_time is not None and status.completion_time is not None:
        seconds = (status.completion_time - status.start_time).total_seconds()
        exemplar = services.traces.exemplar(identity_of(execution.metadata.uid))
        metrics.execution_duration_seconds.labels(operation=operation.value).observe(max(seconds, 0.0), exemplar)
    if trace is not None:
        trace.end(execution)
    else:
        record_execution(services.traces, execution)


def _rollback_reason(status: DRPlanExecutionStatus) -> str:
    """Return why a Revert failed (decision R9): before it touched anything, or on the way; else its phase."""
    if status.phase is not Phase.FAILED:
        return str(status.phase)
    named = [c.reason for c in status.conditions if c.type == "Failed" and c.reason in metrics.ROLLBACK_REASONS]
    return named[0] if named else "RollbackPartialFailed" if status.stage_statuses else "RollbackPreconditionFailed"


def announce_end(
    services: Services, stored: dict[str, object], operation: Operation, status: DRPlanExecutionStatus
) -> None:
    """Write the Event of an end that no runner announced."""
    note = kube_events.ended(operation, status)
    services.recorder.emit(stored, note.type, note.reason, note.message)
