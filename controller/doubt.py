"""What a run does before it goes on where an earlier process left it (design: the journal; invariant 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.engine.conditions import cancel_requested
from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, AttemptInterrupted, CancelRequested, Event, RunSuspended
from app.engine.outcome import Failed, NothingToDo, Outcome
from app.engine.tree import action_at, running_actions
from app.models.execution import DRPlanExecutionStatus
from app.models.names import CANCEL_ANNOTATION, RESUME_ANNOTATION
from app.models.phases import Phase
from app.models.stored import members
from app.models.suspension import Reason
from app.runtime.logging import get_logger
from controller.journal import Journal, Takeover

log = get_logger(__name__)

GIVE_UP_AFTER = 3
"""An attempt under way when the process was ended so often in a row is given up: it may be what ends it."""

WHAT_TO_DO = (
    f'see what the run has done, then annotate the execution with {RESUME_ANNOTATION}: "true" to go on, or with '
    f'{CANCEL_ANNOTATION}: "true" to end it'
)


class Inheritance:
    """The runs that were under way when this process took over. Each is told once what to believe of its past.

    When all have been told, or are gone, the journal's head lives again: until then the next leader finds the same
    verdict.
    """

    def __init__(self, journal: Journal, uids: Iterable[str]) -> None:
        self._journal = journal
        self._left = set(uids)
        if journal.takeover.reason is None or not self._left:
            journal.take_over()
        else:
            log.warning("runs under way have to ask", runs=len(self._left), because=journal.takeover.message)

    async def of(self, uid: str, base: DRPlanExecutionStatus, sequences: Sequence[int]) -> Takeover | None:
        """Return what to believe of the past of a run; None when it began here or has been told.

        `base` is the status that its entries in the journal, numbered `sequences`, go on from. A run that this process
        has driven and that runs again may be one of a restored etcd: that raises `WoundBack`, and `KubeError` when
        nobody can tell.
        """
        if uid in self._left:
            return with_gap(self._journal.takeover, uid, base, sequences)
        await self._journal.demand_current()
        return None

    def told(self, uid: str) -> None:
        """Say that a run has recorded what it was told, or needs not be told any more."""
        self._left.discard(uid)
        if not self._left:
            self._journal.take_over()


def under_way(executions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the uids of the stored executions that have begun and not ended."""
    phases = (Phase.RUNNING.value, Phase.UNKNOWN.value)
    return [item["metadata"]["uid"] for item in executions if members(item.get("status")).get("phase") in phases]


def doubtful(status: DRPlanExecutionStatus) -> list[Address]:
    """Return the actions that were started and whose end nobody recorded."""
    return [address for address, action in running_actions(status) if action.next_attempt_time is None]


def with_gap(takeover: Takeover, uid: str, status: DRPlanExecutionStatus, sequences: Sequence[int]) -> Takeover:
    """Return the verdict on the run `uid`, of whose entries, numbered `sequences`, some may be missing.

    That its status is older than one that was written once is the same: the entries between are gone.
    """
    later = [sequence for sequence in sequences if sequence > status.journal_sequence]
    expected = range(status.journal_sequence + 1, status.journal_sequence + 1 + len(later))
    known = max(later, default=status.journal_sequence)
    if takeover.reason is not None or (later == list(expected) and known >= takeover.covered.get(uid, 0)):
        return takeover
    gaps = (number for number, sequence in zip(expected, later, strict=True) if number != sequence)
    lost = next(gaps, known + 1)
    message = f"entry {lost} of this run is missing: its status and the journal are of different times"
    return replace(takeover, reason=Reason.JOURNAL_INCOMPLETE, message=message)


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
    return ActionFinished(now, address, Phase.FAILED, message)


RunSuspendedBy = tuple[str, Reason]
"""The message and the reason of a suspension."""


def refused(error: Exception) -> RunSuspendedBy:
    """Return why a run stands still whose entries the API server does not take."""
    return (
        f"The API server refuses what this run has to record: {error}; no other run is held up. Find out what refuses "
        f"it, {WHAT_TO_DO}",
        Reason.RECORD_REFUSED,
    )


def long_doubt(away: float) -> RunSuspendedBy:
    """Return why a run stands still that had a write in doubt while the API server was away for `away` seconds."""
    return (
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
    if isinstance(outcome, NothingToDo) or outcome.outputs is None:
        return outcome
    message = f"(what it made could not be recorded) {outcome.message}"
    return replace(outcome, message=message, outputs=None)


def can_do_without_journal(events: Sequence[Event]) -> bool:
    """Tell whether the status alone may record `events`: nothing of them allows an effect or names what was made."""
    return all(
        isinstance(event, CancelRequested | RunSuspended)
        or (isinstance(event, ActionFinished) and event.outputs is None)
        for event in events
    )
