"""Statuses of earlier releases and of the Go operator say in words what this release has fields for.

The one place where a message is read back: a stored status is translated when it is decoded, and nobody behind that
looks at its words (decision D10). What has the fields is left as it is.
"""

from __future__ import annotations

from typing import Any, Final

from app.models.reasons import NodeReason

_CANCELLED: Final = "Canceled by user"
_OF_GO_OPERATOR: Final = ("Canceled due to parallel failure", "canceled due to FailFast")
_NOT_STARTED: Final = "Not started: "
_DEPENDENCY: Final = "it depends on did not succeed"
_ELSEWHERE: Final = tuple(f"{_NOT_STARTED}{what} " for what in ("stage", "workflow", "action"))
"""Followed by a name and what became of it; statuses that did not fit are cut off before that."""
_NOT_DONE: Final = ("Skipped", "Cancelled", "Canceled")
_REPEATED: Final = "attempt failed, will be repeated: "


def translated(node: Any) -> Any:  # noqa: ANN401  (stored data)
    """Return the stored form of a stage, workflow or action with what its message alone says in fields of its own."""
    if not isinstance(node, dict):
        return node
    phase, message = node.get("phase"), node.get("message")
    if not isinstance(message, str):
        return node
    if phase in _NOT_DONE and not node.get("reason") and (reason := _reason_in(message)) is not None:
        return {**node, "reason": reason.value}
    if phase == "Running" and message.startswith(_REPEATED) and not node.get("lastFailure"):
        return {**node, "lastFailure": message.removeprefix(_REPEATED)}
    return node


def _reason_in(message: str) -> NodeReason | None:
    """Return why something was kept from starting; None when its message does not say that it was."""
    if message.startswith(_CANCELLED):
        return NodeReason.CANCELLED
    if message in _OF_GO_OPERATOR:
        return NodeReason.FAILURE_POLICY
    if not message.startswith(_NOT_STARTED):
        return None
    if _DEPENDENCY in message:
        return NodeReason.DEPENDENCY_FAILED
    return NodeReason.FAILURE_POLICY if message.startswith(_ELSEWHERE) else NodeReason.RUN_LOST
