"""What a case measures: figures with their target, and what the system was asked for meanwhile."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured several times. Smaller is better.

    `target` is the most it may be; `floor` is what the bare requests behind it take in the same run, same unit.
    """

    case: str
    what: str
    unit: str
    values: Sequence[float]
    target: float | None = None
    floor: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median is within the target; None without one."""
        return None if self.target is None else self.median <= self.target

    @property
    def to_floor(self) -> float | None:
        """How often the floor goes into the median."""
        return self.median / self.floor if self.floor else None

    def to_json(self) -> dict[str, Any]:
        """Everything, the derived values included."""
        derived = {"median": self.median, "best": min(self.values), "worst": max(self.values)}
        return {**asdict(self), "values": list(self.values), **derived, "met": self.met, "to_floor": self.to_floor}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one round of a case took: counts that a busy machine does not change, and processor seconds."""

    case: str
    requests: dict[str, int]
    """Requests of the controller to the API server by `verb resource`, watches and leases left out."""
    status_writes: int
    status_bytes: int
    """Bytes of the executions' objects with each status that was written."""
    journal_writes: int
    journal_bytes: int
    cpu: dict[str, float]
    """Seconds of processor time by process."""

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Point:
    """One size of a series of growing ones: seconds of every round, and the controller's memory after them."""

    series: str
    size: int
    seconds: Sequence[float]
    each_ms: float
    """Median milliseconds of each thing that the size counts, where one comes after another; else of the whole."""
    resident_mb: float
    cpu_ms: float | None = None
    """Milliseconds of the controller's processor time for one call."""

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


@dataclass(slots=True)
class Results:
    """What all cases of a run have measured."""

    figures: list[Figure] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def keep(self, cost: Cost) -> None:
        """Keep what a round cost, in place of an earlier round of the same case."""
        self.costs = [*(other for other in self.costs if other.case != cost.case), cost]
