"""Phases of every level, and the one table of their legal transitions (invariant 9)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Phase of an execution, a stage, a workflow run or an action.

    `Canceled`, which the Go operator wrote, is read as `Cancelled` (decision D1).
    """

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"

    @classmethod
    def _missing_(cls, value: object) -> Phase | None:
        if value == "Canceled":
            return cls.CANCELLED
        if value == "":
            return cls.PENDING
        return None

    @property
    def is_final(self) -> bool:
        """True when the phase never changes again."""
        return self in FINAL


FINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED, Phase.CANCELLED})

TRANSITIONS: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.PENDING: frozenset({Phase.RUNNING, *FINAL}),
    Phase.RUNNING: frozenset({Phase.UNKNOWN, *FINAL}),
    Phase.UNKNOWN: frozenset({Phase.RUNNING, *FINAL}),
    **{phase: frozenset[Phase]() for phase in FINAL},
}
"""From a phase to the phases that may follow it. A terminal phase is never overwritten."""

ENDS: Final = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)
"""How an execution ends. Unknown is no end, and Skipped is one of its parts only."""
STORED_ENDS: Final = frozenset({*(phase.value for phase in ENDS), "Canceled"})
"""The same as they may be stored."""

EXECUTION_PHASES: Final = ("Pending", "Running", "Succeeded", "Failed", "Cancelled", "Canceled", "Unknown")
NODE_PHASES: Final = ("Pending", "Running", "Succeeded", "Failed", "Skipped", "Cancelled", "Canceled")


def has_ended(phase: object) -> bool:
    """Tell whether the phase of an execution, as stored, is one in which it ended."""
    return isinstance(phase, str) and phase in STORED_ENDS


def may_follow(old: Phase, new: Phase) -> bool:
    """Tell whether `new` may replace `old`; staying the same is always legal."""
    return old is new or new in TRANSITIONS[old]


class PlanPhase(StrEnum):
    """Phase of a DRPlan (decision D8)."""

    READY = "Ready"
    EXECUTED = "Executed"
    INVALID = "Invalid"


class WorkflowPhase(StrEnum):
    """Phase of a DRWorkflow."""

    READY = "Ready"
    INVALID = "Invalid"


class Operation(StrEnum):
    """What an execution does."""

    EXECUTE = "Execute"
    REVERT = "Revert"


class Mode(StrEnum):
    """`spec.mode` of an execution; lower-cased it is the value that `when` tests and `$(mode)` renders."""

    INSTALL = "Install"
    UPGRADE = "Upgrade"
    DELETE = "Delete"
    ROLLBACK = "Rollback"


class PlanPolicy(StrEnum):
    """Failure policy of a plan (decision P4)."""

    STOP = "Stop"
    CONTINUE = "Continue"


class StagePolicy(StrEnum):
    """Failure policy of a stage (decision P4)."""

    STOP = "Stop"
    CONTINUE = "Continue"
    FAIL_FAST = "FailFast"


class WorkflowPolicy(StrEnum):
    """Failure policy of a workflow (decision P4)."""

    FAIL_FAST = "FailFast"
    CONTINUE = "Continue"
