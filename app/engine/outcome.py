"""What one attempt of an action or rollback came to. Executors return it; the engine decides what follows."""

from __future__ import annotations

from dataclasses import dataclass

from app.models.execution import ActionOutputs, FieldConflict


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The effect is there."""

    message: str
    outputs: ActionOutputs | None = None
    conflicts: tuple[FieldConflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed.

    `outputs` names what was made all the same, so that a Revert can take it back (decision R4). `retryable` says that
    the failure is of a kind worth repeating (decision A1); whether it is repeated is the retry policy's matter.
    `retry_after` is what the other side asked for, in seconds. `in_doubt` says that the API server was asked to change
    something and never answered, so that nobody knows whether it did. `undecided` says that something may have been
    done that must not be done twice: the run stands still until an operator says how it is. `timed_out` says that the
    action's time was up. `conflicts`, here and of a success, are the fields that a rollback found changed by others.
    """

    message: str
    outputs: ActionOutputs | None = None
    retryable: bool = False
    retry_after: float | None = None
    in_doubt: bool = False
    undecided: bool = False
    timed_out: bool = False
    conflicts: tuple[FieldConflict, ...] = ()


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """There was nothing to take back; the action becomes Skipped."""

    message: str


Outcome = Succeeded | Failed | NothingToDo
