"""Kubernetes Events of a run, from the difference of two statuses (contract: lifecycle 11; decision O1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from app.engine.definition import RunDefinition
from app.models.execution import ActionStatus, DRPlanExecutionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Operation, Phase


@dataclass(frozen=True, slots=True)
class Note:
    """One event. `ordinary` ones are dropped first when a run has many. The names say where in the run it happened."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    ordinary: bool = False
    stage: str = ""
    workflow: str = ""
    action: str = ""

    def where(self) -> dict[str, str]:
        """Return the names that apply, for a log line (decision O2)."""
        names = {"stage": self.stage, "workflow": self.workflow, "action": self.action}
        return {key: name for key, name in names.items() if name}


def started(definition: RunDefinition) -> Note:
    """Return the event of a run's start."""
    if definition.operation is Operation.REVERT:
        return Note("Normal", "RevertStarted", f"Started reverting plan {definition.plan_name}")
    return Note(
        "Normal",
        "ExecutionStarted",
        f"Started executing plan {definition.plan_name} (operation={definition.operation})",
    )


def changes(definition: RunDefinition, old: DRPlanExecutionStatus, new: DRPlanExecutionStatus) -> Iterator[Note]:
    """Yield the events that led from `old` to `new`, in the order of stages."""
    for before, after in zip(old.stage_statuses, new.stage_statuses, strict=True):
        if before is not after:
            yield from (replace(note, stage=after.name) for note in _stage_changes(before, after))
    if old.phase is not new.phase:
        if new.phase is not None and new.phase.is_final:
            yield ended(definition.operation, new)
        elif new.phase is Phase.UNKNOWN:
            yield Note("Warning", "ExecutionUnknown", new.message)
        elif old.phase is Phase.UNKNOWN:
            yield Note("Normal", "ExecutionResumed", "The run goes on")


def ended(operation: Operation, status: DRPlanExecutionStatus) -> Note:
    """Return the event of a run's end."""
    revert = operation is Operation.REVERT
    if status.phase is Phase.SUCCEEDED:
        if revert:
            return Note("Normal", "RevertSucceeded", f"Revert succeeded: {status.message}")
        return Note("Normal", "ExecutionSucceeded", f"Execution succeeded: {status.message}")
    if status.phase is Phase.CANCELLED:
        return Note("Warning", "ExecutionCancelled", status.message)
    if revert:
        return Note("Warning", "RevertFailed", f"Revert failed: {status.message}")
    return Note("Warning", "ExecutionFailed", f"Execution failed: {status.message}")


def _stage_changes(old: StageStatus, new: StageStatus) -> Iterator[Note]:
    if old.phase is Phase.PENDING and new.start_time is not None and new.phase is not Phase.SKIPPED:
        mode = "parallel" if new.parallel else "sequential"
        yield Note("Normal", "StageStarted", f"Started executing stage {new.name} (mode={mode})")
    for before, after in zip(old.workflow_executions, new.workflow_executions, strict=True):
        if before is not after:
            key = after.workflow_ref.key
            yield from (replace(note, workflow=key) for note in _workflow_changes(before, after))
    if old.phase is not new.phase:
        if new.phase is Phase.SUCCEEDED:
            yield Note("Normal", "StageSucceeded", f"Stage {new.name} succeeded (duration={new.duration})")
        elif new.phase in (Phase.FAILED, Phase.CANCELLED):
            yield Note("Warning", "StageFailed", f"Stage {new.name} failed: {new.message}")
        elif new.phase is Phase.SKIPPED:
            yield Note("Normal", "StageSkipped", f"Stage {new.name} skipped: {new.message}")


def _workflow_changes(old: WorkflowExecutionStatus, new: WorkflowExecutionStatus) -> Iterator[Note]:
    name = new.workflow_ref.key
    if old.phase is Phase.PENDING and new.start_time is not None and new.phase is not Phase.SKIPPED:
        yield Note("Normal", "WorkflowStarted", f"Started executing workflow {name}", ordinary=True)
    for before, after in zip(old.action_statuses, new.action_statuses, strict=True):
        if before is not after:
            yield from (replace(note, action=after.name) for note in _action_changes(before, after))
    if old.phase is not new.phase:
        if new.phase is Phase.SUCCEEDED:
            message = f"Workflow {name} succeeded (duration={new.duration})"
            yield Note("Normal", "WorkflowSucceeded", message, ordinary=True)
        elif new.phase in (Phase.FAILED, Phase.CANCELLED):
            yield Note("Warning", "WorkflowFailed", f"Workflow {name} failed: {new.message}")


def _action_changes(old: ActionStatus, new: ActionStatus) -> Iterator[Note]:
    if new.attempt > old.attempt:
        if new.attempt == 1:
            message = f"Started executing action {new.name} (type={new.type})"
            yield Note("Normal", "ActionStarted", message, ordinary=True)
        else:
            yield Note("Normal", "ActionRetrying", f"Action {new.name} retrying (attempt={new.attempt})")
    if warnings := new.outputs.warnings if new.outputs and new.outputs != old.outputs else ():
        text = f"Action {new.name}: the API server warns: {'; '.join(warnings)}"
        yield Note("Warning", "ActionWarned", text)
    if old.phase is not new.phase:
        if new.phase is Phase.SUCCEEDED:
            yield Note("Normal", "ActionSucceeded", f"Action {new.name} succeeded", ordinary=True)
        elif new.phase is Phase.FAILED:
            yield Note("Warning", "ActionFailed", f"Action {new.name} failed: {new.message}")
