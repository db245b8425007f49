"""Events of a run: what the journal holds, and what `fold` turns into a status (design: the journal).

An event is stored as one JSON object: `e` its name, `t` its time in microseconds since the epoch, `at` the address of
an action as three indexes, and the event's own members. It is bounded: messages are cut as in a status, and what an
executor puts into outputs is bounded before its first effect (`app.engine.amounts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.engine.definition import Address
from app.engine.text import cut
from app.models.execution import ActionOutputs, FieldConflict
from app.models.phases import Phase
from app.models.suspension import Reason

ANSWER_LIMIT = 512
"""Bytes that are kept of what a health check was answered."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ActionStarted:
    """An attempt begins. Committed before its first side effect (invariant 2)."""

    at: datetime
    address: Address
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed and is repeated not before `not_before`; when `undecided`, only after an operator said so."""

    at: datetime
    address: Address
    message: str
    not_before: datetime
    outputs: ActionOutputs | None = None
    undecided: bool = False
    conflicts: tuple[FieldConflict, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptInterrupted:
    """The process ended while an attempt was under way, and may have been ended by it. Committed before it goes on."""

    at: datetime
    address: Address


@dataclass(frozen=True, slots=True)
class ObjectsMade:
    """What an attempt that goes on has made; recorded because it may be gone when somebody looks for it."""

    at: datetime
    address: Address
    outputs: ActionOutputs


@dataclass(frozen=True, slots=True)
class ActionFinished:
    """An action has ended, in a terminal phase."""

    at: datetime
    address: Address
    phase: Phase
    message: str
    outputs: ActionOutputs | None = None
    reason: str = ""
    """One of `NodeReason`; empty when the phase says all that is known."""
    conflicts: tuple[FieldConflict, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckAnswered:
    """An attempt of a health check has ended. It changes nothing, so none is recorded before it begins."""

    at: datetime
    check: int
    """Index of the check in the run's definition."""
    healthy: bool
    answer: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The run is to be cancelled; never taken back (invariant 8)."""

    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class RunSuspended:
    """The run stands still because the outcome of something is unknown: phase Unknown."""

    at: datetime
    message: str
    reason: Reason = Reason.OUTCOME_UNKNOWN


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A suspended run goes on."""

    at: datetime


Event = (
    ActionStarted
    | AttemptFailed
    | AttemptInterrupted
    | ObjectsMade
    | ActionFinished
    | CheckAnswered
    | CancelRequested
    | RunSuspended
    | RunResumed
)
_BY_NAME: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        ActionStarted,
        AttemptFailed,
        AttemptInterrupted,
        ObjectsMade,
        ActionFinished,
        CheckAnswered,
        CancelRequested,
        RunSuspended,
        RunResumed,
    )
}


def to_microseconds(moment: datetime) -> int:
    """Return `moment` as microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    """Return the point in time that is `value` microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=value)


def encode(event: Event) -> dict[str, Any]:
    """Return the stored form of an event."""
    data: dict[str, Any] = {"e": type(event).__name__, "t": to_microseconds(event.at)}
    if isinstance(event, ActionStarted | AttemptFailed | AttemptInterrupted | ObjectsMade | ActionFinished):
        data["at"] = list(event.address)
    if isinstance(event, ActionStarted):
        data["attempt"] = event.attempt
    if isinstance(event, AttemptFailed):
        data["notBefore"] = to_microseconds(event.not_before)
        if event.undecided:
            data["undecided"] = True
    if isinstance(event, ActionFinished):
        data["phase"] = event.phase.value
        if event.reason:
            data["reason"] = event.reason
    if isinstance(event, CheckAnswered):
        data |= {"check": event.check, "healthy": event.healthy, "answer": cut(event.answer, ANSWER_LIMIT)}
    if isinstance(event, AttemptFailed | ActionFinished | CancelRequested | RunSuspended):
        data["message"] = cut(event.message)
    if isinstance(event, RunSuspended) and event.reason is not Reason.OUTCOME_UNKNOWN:
        data["reason"] = event.reason.value
    if isinstance(event, AttemptFailed | ObjectsMade | ActionFinished) and event.outputs is not None:
        data["outputs"] = event.outputs.to_wire()
    if isinstance(event, AttemptFailed | ActionFinished) and event.conflicts:
        data["conflicts"] = [conflict.to_wire() for conflict in event.conflicts]
    return data


def decode(data: dict[str, Any]) -> Event:
    """Read the stored form.

    Raises ValueError on an event this version does not know, KeyError or TypeError on one that is not complete.
    """
    name = data.get("e", "")
    if name not in _BY_NAME:
        raise ValueError(
            f"journal holds an event {name!r} that this version does not know; run the version that wrote it"
        )
    at = from_microseconds(data["t"])
    outputs = ActionOutputs.from_wire(data["outputs"]) if "outputs" in data else None
    conflicts = tuple(FieldConflict.from_wire(conflict) for conflict in data.get("conflicts", ()))
    match name:
        case "ActionStarted":
            return ActionStarted(at, Address(*data["at"]), data["attempt"])
        case "AttemptFailed":
            not_before = from_microseconds(data["notBefore"])
            undecided = data.get("undecided", False)
            return AttemptFailed(at, Address(*data["at"]), data["message"], not_before, outputs, undecided, conflicts)
        case "AttemptInterrupted":
            return AttemptInterrupted(at, Address(*data["at"]))
        case "ObjectsMade":
            return ObjectsMade(at, Address(*data["at"]), outputs or ActionOutputs())
        case "ActionFinished":
            phase, reason = Phase(data["phase"]), data.get("reason", "")
            return ActionFinished(at, Address(*data["at"]), phase, data["message"], outputs, reason, conflicts)
        case "CheckAnswered":
            return CheckAnswered(at, data["check"], data["healthy"], data["answer"])
        case "CancelRequested":
            return CancelRequested(at, data["message"])
        case "RunSuspended":
            return RunSuspended(at, data["message"], Reason(data.get("reason", Reason.OUTCOME_UNKNOWN)))
        case _:
            return RunResumed(at)
