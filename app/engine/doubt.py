"""What a run records before it goes on where an earlier process left off, and why a run stands still.

A write may have been done although nobody saw its answer (invariant 3). So its action is looked at before it is
repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from app.engine.conditions import cancel_requested
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, AttemptInterrupted, CancelRequested, Event, RunSuspended
from app.engine.outcome import Failed, NothingToDo, Outcome
from app.engine.tree import action_at, running_actions
from app.models.execution import DRPlanExecutionStatus
from app.models.names import CANCEL_ANNOTATION, RESUME_ANNOTATION
from app.models.phases import Phase
from app.models.reasons import NodeReason
from app.models.suspension import Reason

GIVE_UP_AFTER = 3
"""An attempt under way when the process was ended so often in a row is given up: it may be what ends it."""

WHAT_TO_DO = (
    f'see what the run has done, then annotate the execution with {RESUME_ANNOTATION}: "true" to go on, or with '
    f'{CANCEL_ANNOTATION}: "true" to end it'
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """The verdict on the journal that was found."""

    reason: Reason | None = None
    """Why runs under way must not go on by themselves; None when they may."""
    message: str = ""
    """The same in words."""
    covered: Mapping[str, int] = field(default_factory=dict)
    """The last entry of each run, by uid, that its status included at least."""
    was_cut_off: bool = False
    """Whether the last leader may have been ended by an attempt that was under way, or had been taken up, then."""


def doubtful(status: DRPlanExecutionStatus) -> list[Address]:
    """Return the actions that were started and whose end nobody recorded."""
    return [address for address, action in running_actions(status) if action.next_attempt_time is None]


def taken_up(
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    doubtful: Sequence[Address],
    takeover: Takeover,
    now: datetime,
) -> list[Event]:
    """Return what is to be recorded of a run before anything of it that is in doubt goes on."""
    events: list[Event] = []
    if takeover.was_cut_off:
        events += [_cut_off(definition, status, address, now) for address in doubtful]
    if takeover.reason is not None and status.phase is Phase.RUNNING and not cancel_requested(status):
        message = f"Whether this run may go on is not known: {takeover.message}; {WHAT_TO_DO}"
        events.append(RunSuspended(now, message, takeover.reason))
    return events


def _cut_off(
    definition: RunDefinition, status: DRPlanExecutionStatus, address: Address, now: datetime
) -> AttemptInterrupted | ActionFinished:
    action = action_at(status, address)
    if action.interruptions + 1 < GIVE_UP_AFTER:
        return AttemptInterrupted(now, address)
    message = (
        f"given up: the controller was ended {GIVE_UP_AFTER} times in a row while attempt {action.attempt} of action "
        f"{definition.action(address).name} was under way, which may be why (memory, mostly); what the attempt did is "
        "not known"
    )
    return ActionFinished(now, address, Phase.FAILED, message, reason=NodeReason.OUTCOME_UNKNOWN)


class Suspension(NamedTuple):
    """Why a run stands still."""

    message: str
    reason: Reason


def refused(error: Exception) -> Suspension:
    """Return why a run stands still whose entries the API server does not take."""
    return Suspension(
        f"The API server refuses what this run has to record: {error}; no other run is held up. Find out what refuses "
        f"it, {WHAT_TO_DO}",
        Reason.RECORD_REFUSED,
    )


def long_doubt(away: float) -> Suspension:
    """Return why a run stands still that had a write in doubt while the API server was away for `away` seconds."""
    return Suspension(
        f"The API server did not answer a write of an action and was away for {away:.0f} s; look at what the "
        f'action made, then annotate the execution with {RESUME_ANNOTATION}: "true" to go on, or cancel it',
        Reason.OUTCOME_UNKNOWN,
    )


def seen_only(address: Address, outcome: Outcome, now: datetime) -> ActionFinished | None:
    """Return the end of an action in doubt that was only looked at, because its run is cancelled.

    None: it was found done, which is the end that it has.
    """
    if not isinstance(outcome, Failed | NothingToDo):
        return None
    outputs = outcome.outputs if isinstance(outcome, Failed) else None
    message = f"Canceled by user; how its last attempt ended was not seen: {outcome.message}"
    return ActionFinished(now, address, Phase.CANCELLED, message, outputs)


def without_outputs(outcome: Outcome) -> Outcome:
    """Return an outcome as small as it gets, for an API server that refuses the whole; its message says so."""
    if isinstance(outcome, NothingToDo) or (outcome.outputs is None and not outcome.conflicts):
        return outcome
    lost = "what it made could not be recorded" if outcome.outputs else "the conflicts could not be recorded"
    return replace(outcome, message=f"({lost}) {outcome.message}", outputs=None, conflicts=())


def can_do_without_journal(events: Sequence[Event]) -> bool:
    """Tell whether the status alone may record `events`: nothing of them allows an effect or names what was made."""
    return all(
        isinstance(event, CancelRequested | RunSuspended)
        or (isinstance(event, ActionFinished) and event.outputs is None)
        for event in events
    )
