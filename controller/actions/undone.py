"""What became of one object that was to be taken back, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from app.engine.outcome import Failed
from app.kube.errors import KubeError, NotServed
from app.models.execution import FieldConflict
from controller.actions.attempts import failed
from controller.actions.changed import MOST_CONFLICTS
from controller.actions.objects import Target


class Effect(StrEnum):
    """What became of an object."""

    DELETED = "deleted"
    DELETING = "being deleted"
    RESTORED = "restored"
    GONE = "gone"
    KEPT = "kept"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Undone:
    """The outcome for one object.

    `why` explains KEPT and LEFT, says of DELETING what holds the object, and of RESTORED what became of collisions.
    KEPT is what could not or need not be taken back, LEFT what an operator decided to leave to others.
    """

    effect: Effect
    why: str = ""
    conflicts: tuple[FieldConflict, ...] = ()


def all_conflicts(undone: Iterable[Undone]) -> tuple[FieldConflict, ...]:
    """Return the collisions of several objects, as many as a status lists."""
    return tuple(conflict for result in undone for conflict in result.conflicts)[:MOST_CONFLICTS]


def together(failures: Sequence[Failed], told: str = "") -> Failed:
    """Return the one failure of a rollback of several objects; `told` is what was done all the same."""
    waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
    return Failed(
        message="; ".join(failure.message for failure in failures) + (f" ({told})" if told else ""),
        retryable=all(failure.retryable for failure in failures),
        retry_after=max(waits, default=None),
        conflicts=tuple(conflict for failure in failures for conflict in failure.conflicts)[:MOST_CONFLICTS],
    )


class CannotUndoError(Exception):
    """The object is not as the run left it. The text is a whole message; `conflicts` are fields that others changed."""

    def __init__(self, message: str, conflicts: tuple[FieldConflict, ...] = ()) -> None:
        super().__init__(message)
        self.conflicts = conflicts


class NotUndoneError(Exception):
    """The API server did not do what a rollback asked for; `doing` says what that was, such as `restore`."""

    def __init__(self, doing: str, target: Target, error: KubeError) -> None:
        super().__init__(f"Failed to {doing} {target.label}: {error}")
        self.prefix = f"Failed to {doing} {target.label}: "
        self.error = error


@contextmanager
def doing(what: str, target: Target) -> Iterator[None]:
    """Say of an error what was being done. That a type is served no more is for others to deal with."""
    try:
        yield
    except NotServed:
        raise
    except KubeError as error:
        raise NotUndoneError(what, target, error) from error


def failure_of(problem: CannotUndoError | NotUndoneError) -> Failed:
    """Return the outcome for an object that could not be taken back."""
    if isinstance(problem, CannotUndoError):
        return Failed(str(problem), conflicts=problem.conflicts)
    return failed(problem.error, prefix=problem.prefix)
