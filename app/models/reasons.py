"""Why a stage, workflow or action has its phase, as a word of a closed list (decision D10).

Programs go by it, and so does the engine: messages are for people, and their words may change.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class NodeReason(StrEnum):
    """Reasons of a node that failed, was skipped or was cut short; one that succeeded or has not ended has none."""

    CANCELLED = "Cancelled"
    """Somebody cancelled the run, which kept it from starting or cut it short."""
    DEPENDENCY_FAILED = "DependencyFailed"
    """What it depends on did not succeed, so it did not start."""
    FAILURE_POLICY = "FailurePolicy"
    """A failure elsewhere kept it from starting or from going on, as a failurePolicy says."""
    RUN_LOST = "RunLost"
    """The run cannot be taken up again."""
    CONDITION_FALSE = "ConditionFalse"
    """The `when` of the action did not hold."""
    CONDITION_INVALID = "ConditionInvalid"
    """The `when` of the action cannot be read or evaluated."""
    NOTHING_TO_DO = "NothingToDo"
    """There was nothing to do; of a Revert: nothing to take back."""
    CANNOT_ROLL_BACK = "CannotRollBack"
    """Nothing says how the action can be taken back safely."""
    ACTION_FAILED = "ActionFailed"
    """The action failed at something that trying again does not mend; of a workflow: an action of it failed."""
    RETRIES_EXHAUSTED = "RetriesExhausted"
    """The action was tried as often as its retry policy and its time-out permit."""
    TIMED_OUT = "TimedOut"
    """The time of the action was up."""
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    """Nobody knows whether the action was done, and it must not be done twice."""
    WORKFLOW_FAILED = "WorkflowFailed"
    """A workflow of the stage failed."""
    HEALTH_CHECK_FAILED = "HealthCheckFailed"
    """As many attempts of the health check failed as may; of a stage: a health check of it failed."""


KEPT_BACK: Final = frozenset(
    {NodeReason.CANCELLED, NodeReason.DEPENDENCY_FAILED, NodeReason.FAILURE_POLICY, NodeReason.RUN_LOST}
)
"""Reasons of what a failure or a cancel kept from starting. What was skipped for another had nothing to do."""
