"""Names that the controller makes up: of objects, in labels, and the identity of an action within a run.

Action, stage and plan names are free text; Kubernetes names and label values are not. What has to be changed to fit
also gets a hash, so that two different texts never share a name by being sanitised alike.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

LABEL_LIMIT = 63
"""Most characters in a label value and in a DNS-1123 label."""

_HASH_LENGTH = 8
_MANAGER_READABLE = 100
"""Characters of a field manager beside prefix and hash; it may have 128."""
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
_ENCODED_SEGMENT = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+")
_INDEX = re.compile(r"0|[1-9][0-9]*")


def object_name_for(action_name: str, *identity: str, limit: int = LABEL_LIMIT) -> str:
    """Return a DNS-1123 label for an object that belongs to an action: the readable part of its name, then a hash.

    `identity` is what else must make the name different (execution uid, stage, workflow index). The same input
    always gives the same name. `limit` leaves room for suffixes that others append.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", action_name.lower()).strip("-")
    head = readable[: limit - _HASH_LENGTH - 1].strip("-") or "action"
    return f"{head}-{_hash(action_name, *identity)}"


def field_manager(plan: str, stage: str, workflow_index: int, action: str) -> str:
    """Return the name under which an action owns fields, the same in every run of the plan (`plan` is namespace/name).

    Server-side apply removes what a manager applied before and leaves out now, so two actions must not share one.
    """
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{plan.rpartition('/')[2]}.{action}")
    return f"drplan.{readable[:_MANAGER_READABLE]}.{_hash(plan, stage, str(workflow_index), action)}"


def label_value(text: str) -> str:
    """`text` as a label value: unchanged where it is one, else its first 54 characters and a hash."""
    if len(text) <= LABEL_LIMIT and _LABEL_VALUE.fullmatch(text):
        return text
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)
    head = readable[: LABEL_LIMIT - _HASH_LENGTH - 1].strip("-_.")
    return f"{head}-{_hash(text)}" if head else _hash(text)


def _hash(*parts: str) -> str:
    """Return the first 8 hexadecimal digits of a SHA-256 over `parts`, whose borders count."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "replace")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:_HASH_LENGTH]


@dataclass(frozen=True, slots=True)
class ActionIdentity:
    """Which action of which run: the value of the idempotency key and of the ownership annotation."""

    execution_uid: str
    stage: str
    workflow_index: int
    """Position of the workflow in its stage, from 0: a stage may use one workflow twice."""
    action: str

    def __str__(self) -> str:
        """`<uid>/<stage>/<workflow-index>/<action>`, each segment percent-encoded."""
        segments = (self.execution_uid, self.stage, str(self.workflow_index), self.action)
        return "/".join(quote(segment, safe="") for segment in segments)

    @classmethod
    def parse(cls, text: str) -> ActionIdentity:
        """Return the identity that `str` wrote; raises ValueError on any other text."""
        segments = text.split("/")
        if len(segments) != 4 or not all(map(_ENCODED_SEGMENT.fullmatch, segments)):
            raise ValueError(
                f"not an action identity: {text!r}, expected <execution-uid>/<stage>/<workflow-index>/<action> "
                "with percent-encoded segments"
            )
        if not _INDEX.fullmatch(segments[2]):
            raise ValueError(f"not an action identity: {text!r}, workflow index {segments[2]!r} is no number")
        uid, stage, index, action = (unquote(segment, errors="strict") for segment in segments)
        return cls(uid, stage, int(index), action)
