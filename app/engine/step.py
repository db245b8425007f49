"""One step of a run, decided: what has happened becomes events, and what may start follows from them.

Pure, so that the order of a run (invariants 1 to 3) is tested without a cluster. Whoever drives a run fills an `Inbox`,
takes the step, records its events, and only then has the effects that they allow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.engine.conditions import cancel_requested
from app.engine.decide import Start, conclude, decide
from app.engine.definition import Address, RunDefinition
from app.engine.doubt import Suspension, Takeover, seen_only, taken_up, without_outputs
from app.engine.events import (
    ActionFinished,
    ActionStarted,
    AttemptFailed,
    CancelRequested,
    CheckAnswered,
    Event,
    ObjectsMade,
    RunResumed,
    RunSuspended,
)
from app.engine.fold import fold_all
from app.engine.health import Answer
from app.engine.outcome import Outcome
from app.engine.question import answered, question, undecided_actions
from app.engine.tree import action_at
from app.models.execution import ActionOutputs, DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.suspension import Reason


@dataclass(frozen=True, slots=True)
class Inherited:
    """What an earlier process left: the verdict on it, and the actions that it had begun."""

    takeover: Takeover
    in_doubt: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Inbox:
    """What has happened to a run since its last step."""

    results: Mapping[Address, Outcome] = field(default_factory=dict)
    """How attempts ended."""
    made: Mapping[Address, ActionOutputs] = field(default_factory=dict)
    """What attempts have made that go on."""
    answers: Mapping[int, Answer] = field(default_factory=dict)
    """What health checks were answered, by their index."""
    looked_at: Collection[Address] = ()
    """Actions that were only looked at, because the run is cancelled or stands still."""
    withheld: Mapping[Address, Outcome] = field(default_factory=dict)
    """Outcomes whose record was refused before."""
    cancel: str | None = None
    """The message of a wish to cancel; None without one. It may be given again in each step."""
    answer: str = ""
    """What somebody said to a run that stands still (`question.ANSWERS`); empty: nothing."""
    suspension: Suspension | None = None
    """Why the run must stand still."""
    inherited: Inherited | None = None
    """Given until what it leads to is recorded."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be recorded in one write, and what follows once it is."""

    events: tuple[Event, ...]
    status: DRPlanExecutionStatus
    """The status after `events`."""
    starts: tuple[Start, ...]
    """Attempts that may begin; `begin` adds the intents of those that do."""
    concluded: Mapping[Address, Outcome]
    """The outcomes that `events` tell."""
    withheld: Mapping[Address, Outcome]
    """The outcomes that wait on."""
    again: bool = False
    """Whether the next step is due at once."""


def step(
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    inbox: Inbox,
    now: datetime,
    *,
    execution: tuple[str, str],
    jitter: Callable[[], float],
    may_start: bool = True,
) -> Step:
    """Return what `inbox` leads to. `status` is settled; `execution` is the run's namespace and name.

    A cancel comes before results: it decides whether failures are repeated. `jitter` draws from 0 to 1 for each
    repetition. Without `may_start` nothing new begins.
    """
    run = _Progress(definition, status)
    if inbox.inherited is not None:
        run.add(*taken_up(definition, run.status, inbox.inherited.in_doubt, inbox.inherited.takeover, now))
    if inbox.cancel is not None and not cancel_requested(run.status):
        run.add(CancelRequested(now, inbox.cancel))
    if inbox.answer and run.status.phase is Phase.UNKNOWN:
        run.add(*answered(run.status, inbox.answer, now))
    again = bool(inbox.withheld and inbox.suspension is not None and run.status.phase is Phase.RUNNING)
    results, withheld = _recordable(inbox, run.status)
    run.add(*(ObjectsMade(now, each, inbox.made[each]) for each in inbox.made if _goes_on(run.status, each, results)))
    run.add(*(_end(definition, run.status, inbox, each, results[each], now, jitter) for each in results))
    for check, answer in inbox.answers.items():
        if _is_awaited(run.status, check):
            run.add(CheckAnswered(now, check, answer.healthy, answer.text))
    suspension = inbox.suspension
    if _asks(run.status, run.events):
        suspension = Suspension(question(run.status, *execution), Reason.OUTCOME_UNKNOWN)
    if suspension is not None and _may_stand_still(run.status):
        run.add(RunSuspended(now, *suspension))
    starts = decide(definition, run.status, now).starts if may_start else ()
    return Step(tuple(run.events), run.status, starts, results, withheld, again)


def begin(definition: RunDefinition, decided: Step, starts: Sequence[Start], now: datetime) -> Step:
    """Return the step with the intents of `starts`, which are among those that may begin (invariant 1)."""
    intents = tuple(ActionStarted(now, start.address, start.attempt) for start in starts)
    status = fold_all(definition, decided.status, intents)
    return replace(decided, events=decided.events + intents, status=status, starts=tuple(starts))


@dataclass(slots=True)
class _Progress:
    """A status and the events that have led to it."""

    definition: RunDefinition
    status: DRPlanExecutionStatus
    events: list[Event] = field(default_factory=list)

    def add(self, *events: Event) -> None:
        self.events += events
        self.status = fold_all(self.definition, self.status, events)


def _recordable(
    inbox: Inbox, status: DRPlanExecutionStatus
) -> tuple[Mapping[Address, Outcome], Mapping[Address, Outcome]]:
    """Return the outcomes to record now, and those that wait on.

    Refused ones are recorded again when somebody lets the run go on; in a cancel without what made them too large.
    """
    is_cancelled = cancel_requested(status)
    waits = status.phase is not Phase.RUNNING or (inbox.suspension is not None and not is_cancelled)
    if waits or not inbox.withheld:
        return inbox.results, inbox.withheld
    refused = inbox.withheld
    if is_cancelled:
        refused = {address: without_outputs(outcome) for address, outcome in refused.items()}
    return {**refused, **inbox.results}, {}


def _goes_on(status: DRPlanExecutionStatus, address: Address, results: Mapping[Address, Outcome]) -> bool:
    """Tell whether what an attempt has made is to be recorded before its end, which records it as well."""
    return address not in results and action_at(status, address).phase is Phase.RUNNING


def _is_awaited(status: DRPlanExecutionStatus, check: int) -> bool:
    """Tell whether the answer of a health check still matters: neither it nor the run has ended meanwhile."""
    under_way = status.phase is not None and not status.phase.is_final
    return under_way and status.health_checks[check].phase is Phase.RUNNING


def _end(
    definition: RunDefinition,
    status: DRPlanExecutionStatus,
    inbox: Inbox,
    address: Address,
    outcome: Outcome,
    now: datetime,
    jitter: Callable[[], float],
) -> AttemptFailed | ActionFinished:
    if address in inbox.looked_at and (seen := seen_only(address, outcome, now)) is not None:
        return seen
    return conclude(definition, status, address, outcome, now, jitter=jitter())


def _asks(status: DRPlanExecutionStatus, events: Sequence[Event]) -> bool:
    """Whether an operator is to be asked, or asked anew, about actions that must not be done twice."""
    new = any(isinstance(event, AttemptFailed) and event.undecided for event in events)
    return new or (status.phase is Phase.RUNNING and bool(undecided_actions(status)))


def _may_stand_still(status: DRPlanExecutionStatus) -> bool:
    return status.phase in (Phase.RUNNING, Phase.UNKNOWN) and not cancel_requested(status)


def look_only_after(events: Sequence[Event], before: bool) -> bool:
    """Return whether what is in doubt may only be looked at after `events`: the run stands still."""
    for event in events:
        if isinstance(event, RunSuspended | RunResumed):
            before = isinstance(event, RunSuspended)
    return before
