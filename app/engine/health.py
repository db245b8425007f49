"""Health checks of a run: when they are made, what an answer means, and when all of them are satisfied.

The checks that end a stage, or the run, are its gate. They are made at the same time once everything before them has
succeeded. Each may fail a number of times; a gate is passed when all were healthy together for as long as demanded, and
fails with the first check that has no attempt left. An attempt changes nothing, so only its end is recorded: one that a
crash cut short is simply made again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.engine import messages
from app.engine.cause import CANCELLED, Cause, nothing_to_do
from app.engine.definition import CheckDefinition, RunDefinition
from app.engine.durations import format_duration
from app.engine.events import ANSWER_LIMIT, CheckAnswered
from app.engine.rollup import Ending, failure_moment
from app.engine.text import cut
from app.engine.tree import begun, ended
from app.models.execution import DRPlanExecutionStatus, HealthCheckStatus, StageStatus
from app.models.phases import Operation, Phase
from app.models.reasons import NodeReason

Checks = tuple[HealthCheckStatus, ...]
"""The status of every health check of a run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt of a check came to."""

    healthy: bool
    text: str


@dataclass(frozen=True, slots=True)
class Due:
    """The checks to be made now, and when the next one is due."""

    checks: tuple[int, ...] = ()
    wake_at: datetime | None = None


def initial_checks(definition: RunDefinition) -> Checks:
    """Return the checks of a run that has just begun."""
    return tuple(
        HealthCheckStatus(
            name=check.name,
            stage="" if check.stage is None else definition.stages[check.stage].name,
            type="HTTP" if check.body.http is not None else "Resources",
            phase=Phase.PENDING,
            message=messages.PENDING,
        )
        for check in definition.checks
    )


def due(
    definition: RunDefinition, status: DRPlanExecutionStatus, now: datetime, in_flight: Collection[int] = ()
) -> Due:
    """Return the checks whose next attempt is due; those `in_flight` are being made."""
    if not definition.checks or status.phase is not Phase.RUNNING:
        return Due()
    checks, waits = [], []
    for index, check in enumerate(status.health_checks):
        if check.phase is not Phase.RUNNING or index in in_flight:
            continue
        when = _next(definition, status.health_checks, index)
        if when is None or when <= now:
            checks.append(index)
        else:
            waits.append(when)
    return Due(tuple(checks), min(waits, default=None))


def _next(definition: RunDefinition, checks: Checks, index: int) -> datetime | None:
    """Return when a check is made next; None: at once. The last look is at the end of the time to be healthy for."""
    check, node = checks[index], definition.checks[index]
    since = _all_healthy_since([checks[each] for each in definition.gates[node.stage]])
    if since is None or check.next_attempt_time is None:
        return check.next_attempt_time
    return min(check.next_attempt_time, since + node.sustained_for)


def answered(definition: RunDefinition, status: DRPlanExecutionStatus, event: CheckAnswered) -> DRPlanExecutionStatus:
    """Return `status` with the answer that a check got; whether its gate is passed is drawn by `at_gate`."""
    node, check = definition.checks[event.check], status.health_checks[event.check]
    update: dict[str, Any] = {
        "attempt": check.attempt + 1,
        "failed_attempts": check.failed_attempts + (not event.healthy),
        "last_attempt_time": event.at,
        "next_attempt_time": event.at + node.interval,
        "healthy_since": (check.healthy_since or event.at) if event.healthy else None,
        "last_answer": cut(event.answer, ANSWER_LIMIT),
        "message": cut(f"healthy: {event.answer}" if event.healthy else f"not healthy: {event.answer}"),
    }
    check = check.model_copy(update=update)
    if check.failed_attempts >= node.attempts:
        message = messages.unhealthy(check.failed_attempts, check.attempt, event.answer)
        check = ended(check, Phase.FAILED, message, event.at, reason=NodeReason.HEALTH_CHECK_FAILED)
    elif event.healthy and not node.sustained_for:
        check = ended(check, Phase.SUCCEEDED, messages.healthy(check.attempt, ""), event.at)
    checks = (*status.health_checks[: event.check], check, *status.health_checks[event.check + 1 :])
    return status.model_copy(update={"health_checks": checks})


def at_gate(definition: RunDefinition, checks: Checks, stage: int | None, at: datetime) -> tuple[Checks, Ending | None]:
    """Return the checks of a run with those of a gate begun or ended, and how the gate ended; None: not yet.

    Everything that the gate is for has succeeded.
    """
    indexes = definition.gates[stage]
    gate = [checks[index] for index in indexes]
    ending: Ending | None = None
    if failed := _first_failed(gate):
        message = messages.check_failed(failed.name, failed.message)
        ending = Ending(Phase.FAILED, message, NodeReason.HEALTH_CHECK_FAILED, failed.failure_time)
        why = Cause(NodeReason.FAILURE_POLICY, messages.check_not_needed(failed.name))
        gate = [_cut_short(check, why, at) for check in gate]
    elif any(check.phase is Phase.CANCELLED for check in gate):
        ending = Ending(Phase.CANCELLED, CANCELLED.message, CANCELLED.reason)
        gate = [_cut_short(check, CANCELLED, at) for check in gate]
    elif _is_passed(gate, definition.checks[indexes[0]]):
        ending = Ending(Phase.SUCCEEDED, "")
        gate = [_passed(check, definition.checks[indexes[0]], at) for check in gate]
    else:
        gate = [_begun(check, at) for check in gate]
    changed = dict(zip(indexes, gate, strict=True))
    return tuple(changed.get(index, check) for index, check in enumerate(checks)), ending


def _first_failed(gate: Sequence[HealthCheckStatus]) -> HealthCheckStatus | None:
    return min((check for check in gate if check.phase is Phase.FAILED), key=failure_moment, default=None)


def _is_passed(gate: Sequence[HealthCheckStatus], node: CheckDefinition) -> bool:
    if all(check.phase is Phase.SUCCEEDED for check in gate):
        return True
    since = _all_healthy_since(gate)
    if since is None or not node.sustained_for:
        return False
    until = since + node.sustained_for
    return all(check.last_attempt_time is not None and check.last_attempt_time >= until for check in gate)


def _all_healthy_since(gate: Sequence[HealthCheckStatus]) -> datetime | None:
    """Return since when all checks have been healthy; None when one was not, or was not made yet."""
    since = [check.healthy_since for check in gate if check.healthy_since is not None]
    return max(since) if len(since) == len(gate) else None


def _begun(check: HealthCheckStatus, at: datetime) -> HealthCheckStatus:
    return begun(check, at) if check.phase is Phase.PENDING else check


def _passed(check: HealthCheckStatus, node: CheckDefinition, at: datetime) -> HealthCheckStatus:
    if check.phase.is_final:
        return check
    return ended(check, Phase.SUCCEEDED, messages.healthy(check.attempt, format_duration(node.sustained_for)), at)


def _cut_short(check: HealthCheckStatus, cause: Cause, at: datetime) -> HealthCheckStatus:
    """End a check that is not made any more: one that never began was skipped."""
    if check.phase.is_final:
        return check
    if check.phase is Phase.PENDING:
        lead = "" if cause is CANCELLED else messages.NOT_STARTED
        return ended(check, Phase.SKIPPED, f"{lead}{cause.message}", at, reason=cause.reason)
    return ended(check, Phase.CANCELLED, cause.message, at, reason=cause.reason)


def cancelled(checks: Checks, at: datetime) -> Checks:
    """Return the checks of a run whose cancel was just recorded: those under way end."""
    return tuple(_cut_short(check, CANCELLED, at) if check.phase is Phase.RUNNING else check for check in checks)


def closed(definition: RunDefinition, checks: Checks, stages: Sequence[StageStatus], at: datetime) -> Checks:
    """Return the checks of a run with those ended whose stage has ended without them."""
    if all(check.phase.is_final for check in checks):
        return checks
    return tuple(
        check
        if check.phase.is_final or node.stage is None or not stages[node.stage].phase.is_final
        else _cut_short(check, _why(stages[node.stage]), at)
        for node, check in zip(definition.checks, checks, strict=True)
    )


def all_closed(checks: Checks, cause: Cause, at: datetime) -> Checks:
    """Return the checks of a run that has ended."""
    return tuple(_cut_short(check, cause, at) for check in checks)


def over(ending: Ending) -> Cause:
    """Return why the checks of a run are not made any more that has ended before them."""
    if ending.phase is Phase.CANCELLED:
        return CANCELLED
    return Cause(NodeReason.FAILURE_POLICY, f"the run ended {ending.phase} before")


def _why(stage: StageStatus) -> Cause:
    if stage.phase is Phase.SUCCEEDED:
        return nothing_to_do(messages.NOTHING_TO_CHECK)
    if stage.reason == NodeReason.CANCELLED:
        return CANCELLED
    return Cause(NodeReason.DEPENDENCY_FAILED, f'stage "{stage.name}" ended {stage.phase}')


def verified_ending(definition: RunDefinition, ending: Ending, gate: Ending) -> Ending:
    """Return how a run ended that had succeeded, from how its gate did."""
    if gate.phase is Phase.SUCCEEDED:
        return Ending(Phase.SUCCEEDED, f"{ending.message}; {messages.verified(len(definition.gates[None]))}")
    again = ""
    if definition.operation is Operation.REVERT and gate.phase is Phase.FAILED:
        again = ". Everything is taken back: mend what is not healthy, then revert the same execution again to check it"
    return Ending(gate.phase, f"{gate.message} (before that: {ending.message}){again}", failed_at=gate.failed_at)
