"""Why something does not start or goes no further, for programs and in words (decision D10)."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine import messages
from app.models.execution import ActionStatus, StageStatus, WorkflowExecutionStatus
from app.models.phases import Phase
from app.models.reasons import KEPT_BACK, NodeReason


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason and the message that tells it."""

    reason: NodeReason
    message: str


CANCELLED = Cause(NodeReason.CANCELLED, messages.CANCELED_BY_USER)
"""Somebody cancelled the run. It is the cause also of what depends on something that the cancel kept back."""


def dependency_failed(kind: str, name: str) -> Cause:
    """Return why a stage or action does not start that depends on one that failed or never ran."""
    return Cause(NodeReason.DEPENDENCY_FAILED, messages.dependency_failed(kind, name))


def nothing_to_do(message: str) -> Cause:
    """Return why something is skipped of which it is known beforehand that there is nothing to do."""
    return Cause(NodeReason.NOTHING_TO_DO, message)


def was_kept_back(node: ActionStatus | WorkflowExecutionStatus | StageStatus) -> bool:
    """Tell whether a failure or a cancel kept a node from starting; one that had nothing to do was not."""
    return node.phase is Phase.SKIPPED and node.reason in KEPT_BACK
