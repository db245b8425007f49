"""What to do next: which attempts may start now, and what the end of an attempt means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from app.engine import messages
from app.engine.conditions import cancel_requested, resumed_at
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, AttemptFailed
from app.engine.outcome import Failed, NothingToDo, Outcome, Succeeded
from app.engine.policy import is_ready, open_stages, open_workflows
from app.engine.text import cut
from app.engine.tree import action_at, running_actions
from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.reasons import NodeReason

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt that may begin now, counted from 1."""

    address: Address
    attempt: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What may start now, and when to ask again even if nothing happens until then."""

    starts: tuple[Start, ...] = ()
    wake_at: datetime | None = None


def decide(definition: RunDefinition, status: DRPlanExecutionStatus, now: datetime) -> Decision:
    """Return the attempts that may start. The status must be settled, as `fold` and `initial_status` leave it."""
    if status.phase is not Phase.RUNNING:
        return Decision()
    starts = [Start(address, 1) for address in _ready(definition, status)]
    waits = []
    for address, action in running_actions(status):
        if action.next_attempt_time is None or action.undecided:
            continue
        if action.next_attempt_time <= now:
            starts.append(Start(address, action.attempt + 1))
        else:
            waits.append(action.next_attempt_time)
    return Decision(tuple(starts), min(waits, default=None))


def conclude(
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    address: Address,
    outcome: Outcome,
    now: datetime,
    *,
    jitter: float,
) -> AttemptFailed | ActionFinished:
    """Return the event that the end of an attempt is: the end of its action, or a repetition (decision A1).

    A failure is repeated when it is of a kind worth repeating, the policy has attempts left, the next one would begin
    within the action's time-out, and the run is not being cancelled.
    """
    if isinstance(outcome, Succeeded):
        return ActionFinished(
            now, address, Phase.SUCCEEDED, cut(outcome.message), outcome.outputs, conflicts=outcome.conflicts
        )
    if isinstance(outcome, NothingToDo):
        return ActionFinished(now, address, Phase.SKIPPED, cut(outcome.message))
    if outcome.undecided:
        message = cut(messages.undecided(outcome.message))
        if cancel_requested(status):
            unknown = NodeReason.OUTCOME_UNKNOWN
            return ActionFinished(now, address, Phase.FAILED, message, outcome.outputs, unknown)
        return AttemptFailed(now, address, message, now, outcome.outputs, undecided=True)
    node, action = definition.action(address), action_at(status, address)
    retries = max(action.attempt - 1, 0)
    if outcome.retryable and not cancel_requested(status) and node.retry.allows(retries):
        not_before = now + node.retry.delay(retries, jitter, outcome.retry_after)
        if not_before < deadline(definition, status, address):
            return AttemptFailed(
                now, address, cut(outcome.message), not_before, outcome.outputs, conflicts=outcome.conflicts
            )
    message = messages.exhausted(retries, outcome.message) if outcome.retryable else outcome.message
    if outcome.timed_out and action.last_failure:
        message = messages.no_more_time(message, retries, action.last_failure)
    reason = _reason(outcome, retries)
    return ActionFinished(
        now, address, Phase.FAILED, cut(message), outcome.outputs, reason, conflicts=outcome.conflicts
    )


def _reason(outcome: Failed, retries: int) -> str:
    if outcome.timed_out:
        return NodeReason.TIMED_OUT
    return NodeReason.RETRIES_EXHAUSTED if outcome.retryable and retries else ""


def deadline(definition: RunDefinition, status: DRPlanExecutionStatus, address: Address) -> datetime:
    """Return when an action that has started times out: its time-out after its first start (decision A1).

    After a run stood still for an operator, the time counts from its going on.
    """
    start = action_at(status, address).start_time
    if start is None:
        return _NEVER
    return max(start, resumed_at(status) or start) + definition.action(address).timeout


def _ready(definition: RunDefinition, status: DRPlanExecutionStatus) -> list[Address]:
    return [
        Address(s, w, a)
        for s in open_stages(definition, status)
        for w in open_workflows(definition.stages[s], status.stage_statuses[s])
        for a in range(len(definition.stages[s].workflows[w].actions))
        if is_ready(
            definition.stages[s].workflows[w],
            status.stage_statuses[s].workflow_executions[w].action_statuses,
            a,
        )
    ]
