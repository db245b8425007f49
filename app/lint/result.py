"""What a lint run found, ready to be printed in any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.rules.catalogue import Severity

FINE, FOUND, UNUSABLE = 0, 1, 2
"""Exit codes: nothing but warnings; errors; input that could not be read, so that not everything was checked."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        """`file:line:column`, as editors understand it."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding in one object."""

    position: Position
    severity: Severity
    rule: str
    """Id in `app.rules.catalogue`."""
    target: str
    """The object, as `DRPlan default/site-failover`."""
    path: str
    """The field, as `spec.stages[0].name`; empty for the object as a whole."""
    message: str


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that was skipped or could not be read, and why."""

    position: Position
    text: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that takes a cluster to know, and what it is about."""

    what: str
    """As `whether these workflows exist`."""
    about: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """All that a run has to say."""

    issues: Sequence[Issue] = ()
    """By file in the order given, then by position."""
    skipped: Sequence[Notification] = ()
    unusable: Sequence[Notification] = ()
    unchecked: Sequence[Unchecked] = ()
    files: int = 0
    """Files that were read."""
    objects: int = 0
    """Objects of this API among what they contain."""

    def count(self, severity: Severity) -> int:
        """Number of issues of a severity."""
        return sum(issue.severity is severity for issue in self.issues)

    @property
    def exit_code(self) -> int:
        """FINE, FOUND or UNUSABLE. What could not be read counts most, because it was not checked at all."""
        if self.unusable:
            return UNUSABLE
        return FOUND if self.count(Severity.ERROR) else FINE
