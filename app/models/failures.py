"""Why an execution failed, as a word that programs and docs/operating.md can go by (decision D10)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.models.reasons import NodeReason


class FailureReason(StrEnum):
    """Why an execution failed: the reason of its condition `Failed`; docs/operating.md says of each what to do."""

    ACTION_FAILED = "ActionFailed"
    """An action failed at something that trying again does not mend."""
    RETRIES_EXHAUSTED = "RetriesExhausted"
    """An action was tried as often as permitted."""
    ACTION_TIMED_OUT = "ActionTimedOut"
    """The time of an action was up."""
    NOTHING_DONE = "NothingDone"
    """A run in mode Delete skipped every action."""
    HEALTH_CHECK_FAILED = "HealthCheckFailed"
    """All was done as planned, but a health check found that it does not work."""
    ROLLBACK_HEALTH_CHECK_FAILED = "RollbackHealthCheckFailed"
    """A Revert took everything back, but a health check found that the system does not work."""
    ROLLBACK_PARTIAL_FAILED = "RollbackPartialFailed"
    """A Revert could not take back everything."""
    ROLLBACK_PRECONDITION_FAILED = "RollbackPreconditionFailed"
    """A Revert could not begin; it touched nothing."""
    PLAN_NOT_READY = "PlanNotReady"
    """The plan is missing, invalid, or was not validated in time; nothing was run."""
    PLAN_BUSY = "PlanBusy"
    """Another execution of the plan was running; nothing was run."""
    START_REFUSED = "StartRefused"
    """The execution could not start as it is, for instance for want of a parameter; nothing was run."""
    RUN_LOST = "RunLost"
    """The run was begun and cannot be taken up again; what it did is not undone."""


OF_ACTION: Final[Mapping[str, FailureReason]] = {
    NodeReason.RETRIES_EXHAUSTED: FailureReason.RETRIES_EXHAUSTED,
    NodeReason.TIMED_OUT: FailureReason.ACTION_TIMED_OUT,
}
"""What an execution says whose first failure was that of an action; of others it is `ACTION_FAILED`."""
