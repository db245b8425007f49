"""Kubernetes Events of a run, from the difference of two statuses (contract: lifecycle 11; decision O1).

They come in the order of the story: what ended first, then what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from app.engine.definition import RunDefinition
from app.models.base import rfc3339
from app.models.execution import (
    ActionStatus,
    DRPlanExecutionStatus,
    HealthCheckStatus,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.phases import Operation, Phase

Node = TypeVar("Node", ActionStatus, StageStatus, WorkflowExecutionStatus, HealthCheckStatus)


@dataclass(frozen=True, slots=True)
class KubeEvent:
    """One event. `ordinary` ones are dropped first when a run has many. The names say where in the run it happened.

    `place` has the indexes of stage, workflow and action as far as they apply: names may occur several times.
    `repeats` says that later notes of the same reason and place tell the same again, with newer words.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    ordinary: bool = False
    stage: str = ""
    workflow: str = ""
    action: str = ""
    place: tuple[int, ...] = ()
    repeats: bool = False

    @property
    def series(self) -> str:
        """What repeats have in common beside the reason, and no other note has; empty for notes of the run itself."""
        if not self.place:
            return ""
        place = "/".join(map(str, self.place))
        return place if self.repeats else f"{place} {self.message}"

    def where(self) -> dict[str, str]:
        """Return the names that apply, for a log line (decision O2)."""
        names = {"stage": self.stage, "workflow": self.workflow, "action": self.action}
        return {key: name for key, name in names.items() if name}


def started(definition: RunDefinition) -> KubeEvent:
    """Return the event of a run's start."""
    if definition.operation is Operation.REVERT:
        return KubeEvent("Normal", "RevertStarted", f"Started reverting plan {definition.plan_name}")
    return KubeEvent(
        "Normal",
        "ExecutionStarted",
        f"Started executing plan {definition.plan_name} (operation={definition.operation})",
    )


def changes(definition: RunDefinition, old: DRPlanExecutionStatus, new: DRPlanExecutionStatus) -> Iterator[KubeEvent]:
    """Yield the events that led from `old` to `new`, in the order of stages.

    A health check follows on the work that it is about, and what it comes to is followed by the end of that.
    """
    checks = [] if old.health_checks is new.health_checks else list(_changed(old.health_checks, new.health_checks))
    for index, known, check in checks:
        if known.phase is Phase.RUNNING:
            yield from (_placed(note, index, check) for note in _answers(known, check))
    for index, before, after in _changed(old.stage_statuses, new.stage_statuses):
        yield from (
            replace(note, stage=after.name, place=(index, *note.place))
            for note in _stage_changes(definition, before, after)
        )
    for index, known, check in checks:
        if known.phase is Phase.PENDING and check.phase is Phase.RUNNING:
            text = f"Started health check {_shown_check(check)}"
            yield _placed(KubeEvent("Normal", "HealthCheckStarted", text), index, check)
    if old.phase is not new.phase:
        if new.phase is not None and new.phase.is_final:
            yield ended(definition.operation, new)
        elif new.phase is Phase.UNKNOWN:
            yield KubeEvent("Warning", "ExecutionUnknown", new.message)
        elif old.phase is Phase.UNKNOWN:
            yield KubeEvent("Normal", "ExecutionResumed", "The run goes on")


def _placed(note: KubeEvent, index: int, check: HealthCheckStatus) -> KubeEvent:
    """Return a note with the place of a check; these are numbered apart from stages."""
    return replace(note, stage=check.stage, place=(-1, index))


def _shown_check(check: HealthCheckStatus) -> str:
    return f"{check.name} of stage {check.stage}" if check.stage else check.name


def _answers(old: HealthCheckStatus, new: HealthCheckStatus) -> Iterator[KubeEvent]:
    name = _shown_check(new)
    if new.phase is Phase.RUNNING and new.failed_attempts > old.failed_attempts:
        when = (
            f" (attempt {new.attempt}; the next is at {rfc3339(new.next_attempt_time)})"
            if new.next_attempt_time
            else ""
        )
        text = f"Health check {name} is not healthy{when}: {new.last_answer}"
        yield KubeEvent("Warning", "HealthCheckUnhealthy", text, repeats=True)
    elif new.phase is Phase.SUCCEEDED:
        yield KubeEvent("Normal", "HealthCheckSucceeded", f"Health check {name} succeeded: {new.message}")
    elif new.phase is Phase.FAILED:
        yield KubeEvent("Warning", "HealthCheckFailed", f"Health check {name} failed: {new.message}")


def ended(operation: Operation, status: DRPlanExecutionStatus) -> KubeEvent:
    """Return the event of a run's end."""
    revert = operation is Operation.REVERT
    if status.phase is Phase.SUCCEEDED:
        if revert:
            return KubeEvent("Normal", "RevertSucceeded", f"Revert succeeded: {status.message}")
        return KubeEvent("Normal", "ExecutionSucceeded", f"Execution succeeded: {status.message}")
    if status.phase is Phase.CANCELLED:
        return KubeEvent("Warning", "ExecutionCancelled", status.message)
    if revert:
        return KubeEvent("Warning", "RevertFailed", f"Revert failed: {status.message}")
    return KubeEvent("Warning", "ExecutionFailed", f"Execution failed: {status.message}")


def _changed(old: Sequence[Node], new: Sequence[Node]) -> Iterator[tuple[int, Node, Node]]:
    """Yield what differs, with its index: first what had begun before, because what begins now may follow from it."""
    differing = [(i, a, b) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a is not b]
    yield from sorted(differing, key=lambda item: item[1].start_time is None)


def _stage_changes(definition: RunDefinition, old: StageStatus, new: StageStatus) -> Iterator[KubeEvent]:
    if old.phase is Phase.PENDING and new.start_time is not None and new.phase is not Phase.SKIPPED:
        mode = "parallel" if new.parallel else "sequential"
        yield KubeEvent("Normal", "StageStarted", f"Started executing stage {new.name} (mode={mode})")
    for index, before, after in _changed(old.workflow_executions, new.workflow_executions):
        key = after.workflow_ref.key
        yield from (
            replace(note, workflow=key, place=(index, *note.place))
            for note in _workflow_changes(definition, new.name, before, after)
        )
    if old.phase is not new.phase:
        if new.phase is Phase.SUCCEEDED:
            yield KubeEvent("Normal", "StageSucceeded", f"Stage {new.name} succeeded (duration={new.duration})")
        elif new.phase in (Phase.FAILED, Phase.CANCELLED):
            yield KubeEvent("Warning", "StageFailed", f"Stage {new.name} failed: {new.message}")
        elif new.phase is Phase.SKIPPED:
            yield KubeEvent("Normal", "StageSkipped", f"Stage {new.name} skipped: {new.message}")


def _workflow_changes(
    definition: RunDefinition, stage: str, old: WorkflowExecutionStatus, new: WorkflowExecutionStatus
) -> Iterator[KubeEvent]:
    name = new.workflow_ref.key
    shown = name if name not in definition.repeated_workflows else f"{name} (stage {stage})"
    if old.phase is Phase.PENDING and new.start_time is not None and new.phase is not Phase.SKIPPED:
        yield KubeEvent("Normal", "WorkflowStarted", f"Started executing workflow {shown}", ordinary=True)
    for index, before, after in _changed(old.action_statuses, new.action_statuses):
        where = f" of workflow {shown}" if after.name in definition.repeated_actions else ""
        yield from (replace(note, action=after.name, place=(index,)) for note in _action_changes(before, after, where))
    if old.phase is not new.phase:
        if new.phase is Phase.SUCCEEDED:
            message = f"Workflow {shown} succeeded (duration={new.duration})"
            yield KubeEvent("Normal", "WorkflowSucceeded", message, ordinary=True)
        elif new.phase in (Phase.FAILED, Phase.CANCELLED):
            yield KubeEvent("Warning", "WorkflowFailed", f"Workflow {shown} failed: {new.message}")


def _action_changes(old: ActionStatus, new: ActionStatus, where: str) -> Iterator[KubeEvent]:
    """`where` names the workflow, if another action of the same name may be under way beside this one."""
    if new.attempt > old.attempt and old.attempt == 0:
        message = f"Started executing action {new.name} (type={new.type}){where}"
        yield KubeEvent("Normal", "ActionStarted", message, ordinary=True)
    yield from _retries(old, new, where)
    if warnings := new.outputs.warnings if new.outputs and new.outputs != old.outputs else ():
        text = f"Action {new.name}{where}: the API server warns: {'; '.join(warnings)}"
        yield KubeEvent("Warning", "ActionWarned", text)
    if old.phase is not new.phase:
        if new.phase is Phase.SUCCEEDED:
            yield KubeEvent("Normal", "ActionSucceeded", f"Action {new.name}{where} succeeded", ordinary=True)
        elif new.phase is Phase.FAILED:
            yield KubeEvent("Warning", "ActionFailed", f"Action {new.name}{where} failed: {new.message}")


def _retries(old: ActionStatus, new: ActionStatus, where: str) -> Iterator[KubeEvent]:
    """Tell of a failed attempt once it is known when it is repeated; the repetition itself is then no news."""
    due = None if new.undecided else new.next_attempt_time
    if due is not None and due != old.next_attempt_time:
        attempt, when = new.attempt + 1, f" at {rfc3339(due)}"
    elif new.attempt > max(old.attempt, 1) and (old.next_attempt_time is None or old.undecided):
        attempt, when = new.attempt, ""
    else:
        return
    cause = f": {new.last_failure}" if new.last_failure else ""
    text = f"Action {new.name}{where} retrying (attempt={attempt}){when}{cause}"
    yield KubeEvent("Warning", "ActionRetrying", text, repeats=True)
