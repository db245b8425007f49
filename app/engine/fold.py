"""From a status and an event to the next status.

Only attempts are journalled. Everything else that a status says follows from them and from the definition: what is
skipped, when a workflow, stage or run is over and how it ended. `fold` derives it in the same step, so that status plus
later events always gives the same picture, whoever computes it (design: the journal; invariants 1 and 9).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.engine import messages
from app.engine.conditions import cancel_requested, with_cancel_requested, with_ended, with_started, with_suspension
from app.engine.course import Courses
from app.engine.definition import RunDefinition
from app.engine.durations import format_duration
from app.engine.events import (
    ActionFinished,
    ActionStarted,
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    CheckAnswered,
    Event,
    ObjectsMade,
    RunResumed,
    RunSuspended,
)
from app.engine.health import all_closed, answered, at_gate, cancelled, initial_checks, over, verified_ending
from app.engine.live import LAST_FAILURE_LIMIT, with_live_message
from app.engine.outputs import merged
from app.engine.rollup import Ending, failure_reason, run_ending
from app.engine.settle import settle
from app.engine.text import cut
from app.engine.tree import action_at, begun, ended, running_actions, with_action, with_stage, with_workflow
from app.models.common import ObjectReference
from app.models.execution import (
    ActionStatus,
    DRPlanExecutionStatus,
    ResolvedParam,
    StageStatus,
    WorkflowExecutionStatus,
)
from app.models.failures import FailureReason
from app.models.phases import Operation, Phase, may_follow
from app.models.reasons import NodeReason

_REASONS = {
    Phase.FAILED: NodeReason.ACTION_FAILED,
    Phase.SKIPPED: NodeReason.NOTHING_TO_DO,
    Phase.CANCELLED: NodeReason.CANCELLED,
}
"""What it means that an action ended in a phase, where its event says nothing more."""


class IllegalEventError(ValueError):
    """An event that cannot follow the status it is applied to; the message names the action and both phases."""


def initial_status(
    definition: RunDefinition,
    started_at: datetime,
    *,
    generation: int = 1,
    resolved_params: tuple[ResolvedParam, ...] = (),
) -> DRPlanExecutionStatus:
    """Return the status of a run that has just taken its plan: Running, with everything in it Pending.

    What can be skipped at once already is, down to a run that has nothing to do at all and is over.
    """
    status = DRPlanExecutionStatus(
        phase=Phase.RUNNING,
        start_time=started_at,
        observed_generation=generation,
        resolved_params=resolved_params,
        message=definition.note,
        health_checks=initial_checks(definition),
        stage_statuses=tuple(
            StageStatus(
                name=stage.name,
                phase=Phase.PENDING,
                parallel=stage.parallel,
                depends_on=stage.depends_on,
                workflow_executions=tuple(
                    WorkflowExecutionStatus(
                        workflow_ref=ObjectReference(name=workflow.name, namespace=workflow.namespace),
                        phase=Phase.PENDING,
                        message=messages.PENDING,
                        resolved_params=workflow.params,
                        action_statuses=tuple(
                            ActionStatus(
                                name=action.name, type=action.type, phase=Phase.PENDING, message=messages.PENDING
                            )
                            for action in workflow.actions
                        ),
                    )
                    for workflow in stage.workflows
                ),
            )
            for stage in definition.stages
        ),
    )
    return _end_if_done(definition, settle(definition, with_started(status, started_at), started_at), started_at)


def fold(definition: RunDefinition, status: DRPlanExecutionStatus, event: Event) -> DRPlanExecutionStatus:
    """Return the status after `event`. Raises `IllegalEventError` when the event cannot follow `status`."""
    return with_live_message(definition, _folded(definition, status, event), (event,))


def fold_all(
    definition: RunDefinition, status: DRPlanExecutionStatus, events: Sequence[Event]
) -> DRPlanExecutionStatus:
    """Return the status after all `events`: what folding one after the other gives, in less time for many of them.

    What concerns its own workflow only is drawn there (`app.engine.course`). Else several starts in a row are drawn
    once, at the last of them, and of the end of an attempt only what its own workflow is concerned by. The last event
    is folded in full: what an earlier release had not drawn is drawn then.
    """
    courses, owed = Courses(definition), False
    for number, event in enumerate(events[:-1]):
        if status.has_ended or not isinstance(event, _OfAction):
            status, owed = _folded(definition, status, event), False
            continue
        earlier, status = status, _apply(definition, status, event)
        drawn = None if owed else courses.draw(earlier, status, event.address, event.at)
        if drawn is not None:
            status = drawn
            continue
        owed = isinstance(event, ActionStarted)
        if not (owed and isinstance(events[number + 1], ActionStarted)):
            status = settle(definition, status, event.at, touched=None if owed else event.address)
            status, owed = _end_if_done(definition, status, event.at), False
    return with_live_message(definition, _folded(definition, status, events[-1]), events) if events else status


def _folded(definition: RunDefinition, status: DRPlanExecutionStatus, event: Event) -> DRPlanExecutionStatus:
    """Return what `fold` returns, but for the message of a run under way."""
    if status.has_ended:
        raise IllegalEventError(f"{type(event).__name__} after the run ended {status.phase}")
    return _end_if_done(definition, settle(definition, _apply(definition, status, event), event.at), event.at)


def end_run(
    status: DRPlanExecutionStatus, phase: Phase, message: str, at: datetime, *, reason: FailureReason | None = None
) -> DRPlanExecutionStatus:
    """Return `status` as ended at `at`, conditions included. The one place that ends a run.

    `reason` says why it failed; without it what failed first does.
    """
    end = max(at, status.start_time or at)
    failure = reason or failure_reason(status)
    words = {Phase.FAILED: failure.value, Phase.CANCELLED: NodeReason.CANCELLED.value}
    update: dict[str, Any] = {
        "phase": phase,
        "completion_time": end,
        "reason": words.get(phase, ""),
        "message": cut(message),
    }
    if status.start_time is not None:
        update["duration"] = format_duration(end - status.start_time)
    return with_ended(status.model_copy(update=update), end, failure)


def _end_if_done(definition: RunDefinition, status: DRPlanExecutionStatus, at: datetime) -> DRPlanExecutionStatus:
    if not all(stage.phase.is_final for stage in status.stage_statuses):
        return status
    ending, reason = run_ending(definition, status, cancelled=cancel_requested(status)), None
    if definition.operation is Operation.REVERT:
        reason = FailureReason.ROLLBACK_PARTIAL_FAILED
    if ending.phase is Phase.SUCCEEDED and None in definition.gates:
        checks, gate = at_gate(definition, status.health_checks, None, at)
        if checks != status.health_checks:
            status = status.model_copy(update={"health_checks": checks})
        if gate is None:
            return status
        ending = verified_ending(definition, ending, gate)
        if definition.operation is Operation.REVERT:
            reason = FailureReason.ROLLBACK_HEALTH_CHECK_FAILED
    return _with_end(status, ending, at, reason)


def _with_end(
    status: DRPlanExecutionStatus, ending: Ending, at: datetime, reason: FailureReason | None
) -> DRPlanExecutionStatus:
    checks = all_closed(status.health_checks, over(ending), at)
    return end_run(status.model_copy(update={"health_checks": checks}), ending.phase, ending.message, at, reason=reason)


def _apply(definition: RunDefinition, status: DRPlanExecutionStatus, event: Event) -> DRPlanExecutionStatus:
    match event:
        case ActionStarted():
            return _action_started(status, event)
        case AttemptFailed():
            return with_action(status, event.address, _attempt_failed(_started(status, event), event))
        case AttemptInterrupted():
            return with_action(status, event.address, _interrupted(_started(status, event)))
        case ObjectsMade():
            return with_action(status, event.address, _made(_started(status, event), event))
        case ActionFinished():
            return with_action(status, event.address, _action_finished(_started(status, event), event))
        case CheckAnswered():
            return answered(definition, _under_way(status, event), event)
        case CancelRequested():
            return _cancel(definition, status, event)
        case RunSuspended():
            status = with_suspension(status, event.message, event.at, reason=event.reason)
            told = {"reason": event.reason.value, "message": cut(event.message)}
            return status.model_copy(update={"phase": Phase.UNKNOWN, **told})
        case RunResumed():
            return _resumed(definition, status, event.at)


_OfAction = ActionStarted | AttemptFailed | AttemptInterrupted | ObjectsMade | ActionFinished


def _action(status: DRPlanExecutionStatus, event: _OfAction) -> ActionStatus:
    nowhere = IllegalEventError(f"{type(event).__name__}: no action at {tuple(event.address)} in this run")
    if min(event.address) < 0:
        raise nowhere
    try:
        return action_at(status, event.address)
    except IndexError:
        raise nowhere from None


def _started(
    status: DRPlanExecutionStatus, event: AttemptFailed | AttemptInterrupted | ObjectsMade | ActionFinished
) -> ActionStatus:
    """Return the action whose attempt has ended. Only what was recorded as started can end (invariant 2)."""
    action = _action(status, event)
    phase = event.phase if isinstance(event, ActionFinished) else Phase.RUNNING
    if action.phase is not Phase.RUNNING or phase.is_final is not isinstance(event, ActionFinished):
        raise IllegalEventError(f"action {action.name!r} is {action.phase} and cannot become {phase}")
    return action


def _under_way(status: DRPlanExecutionStatus, event: CheckAnswered) -> DRPlanExecutionStatus:
    """Return `status`, in which the check that was answered is being made."""
    if not 0 <= event.check < len(status.health_checks):
        raise IllegalEventError(f"CheckAnswered: no health check number {event.check} in this run")
    check = status.health_checks[event.check]
    if check.phase is not Phase.RUNNING:
        raise IllegalEventError(f"health check {check.name!r} is {check.phase} and cannot be answered")
    return status


def _action_started(status: DRPlanExecutionStatus, event: ActionStarted) -> DRPlanExecutionStatus:
    action = _action(status, event)
    if not may_follow(action.phase, Phase.RUNNING):
        raise IllegalEventError(f"action {action.name!r} is {action.phase} and cannot become {Phase.RUNNING}")
    started = action.model_copy(
        update={
            "phase": Phase.RUNNING,
            "start_time": action.start_time or event.at,
            "attempt": event.attempt,
            "retry_count": event.attempt - 1,
            "next_attempt_time": None,
            "interruptions": 0,
            "undecided": False,
            "message": messages.running(action.name),
        }
    )
    status = with_action(status, event.address, started)
    stage = status.stage_statuses[event.address.stage]
    workflow = stage.workflow_executions[event.address.workflow]
    if stage.phase is Phase.RUNNING and workflow.phase is Phase.RUNNING:
        return status
    stage = with_workflow(stage, event.address.workflow, begun(workflow, event.at))
    return with_stage(status, event.address.stage, begun(stage, event.at))


def _interrupted(action: ActionStatus) -> ActionStatus:
    return action.model_copy(update={"interruptions": action.interruptions + 1})


def _made(action: ActionStatus, event: ObjectsMade) -> ActionStatus:
    return action.model_copy(update={"again": False, "outputs": merged(action.outputs, event.outputs)})


def _attempt_failed(action: ActionStatus, event: AttemptFailed) -> ActionStatus:
    return action.model_copy(
        update={
            "next_attempt_time": event.not_before,
            "last_failure": action.last_failure if event.undecided else cut(event.message, LAST_FAILURE_LIMIT),
            "undecided": event.undecided,
            "again": False,
            "message": event.message if event.undecided else cut(messages.waiting_for_retry(event.message)),
            "outputs": merged(action.outputs, event.outputs),
            "conflicts": event.conflicts,
        }
    )


def _action_finished(action: ActionStatus, event: ActionFinished) -> ActionStatus:
    reason = event.reason or _REASONS.get(event.phase, "")
    finished = ended(action, event.phase, event.message, event.at, reason=reason)
    outputs = merged(action.outputs, event.outputs)
    return finished.model_copy(update={"outputs": outputs, "conflicts": event.conflicts})


def _resumed(definition: RunDefinition, status: DRPlanExecutionStatus, at: datetime) -> DRPlanExecutionStatus:
    status = with_suspension(status, "The run goes on", at)
    for address, action in running_actions(status):
        if action.undecided:
            status = with_action(status, address, action.model_copy(update={"undecided": False, "again": True}))
    return status.model_copy(update={"phase": Phase.RUNNING, "reason": "", "message": definition.note})


def _cancel(definition: RunDefinition, status: DRPlanExecutionStatus, event: CancelRequested) -> DRPlanExecutionStatus:
    if cancel_requested(status):
        return status
    status = with_cancel_requested(status, event.message, event.at)
    status = status.model_copy(update={"health_checks": cancelled(status.health_checks, event.at)})
    waiting = running_actions(status)
    if status.phase is Phase.UNKNOWN:
        status = _resumed(definition, status, event.at)
    for address, action in waiting:
        if action.next_attempt_time is not None:
            message = (
                messages.canceled_undecided(action.message)
                if action.undecided
                else messages.canceled_waiting(action.last_failure)
            )
            reason = NodeReason.CANCELLED
            status = with_action(status, address, ended(action, Phase.CANCELLED, message, event.at, reason=reason))
    return status
