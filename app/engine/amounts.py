"""Bounds that are kept before an action's first effect, so that what it made can always be recorded.

A journal entry names every object that an attempt touched, and must fit into a ConfigMap (1 MiB) together with what
else is kept there; a status must hold the same references. What does not fit is refused as long as nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_OBJECTS = 1000
"""Objects that one manifest may have."""
REFERENCE_BYTES = 512 * 1024
"""Bytes that the references to them may take in a journal entry."""

_FIXED = 110
"""Bytes of a reference beside the texts: the names of its members, a UID, punctuation."""


def too_many(count: int) -> str:
    """Return why a manifest of `count` objects is refused; empty text when it is not."""
    if count <= MOST_OBJECTS:
        return ""
    return (
        f"the manifest has {count} objects, of one action at most {MOST_OBJECTS} can be recorded: use several actions"
    )


def too_long(objects: Sequence[Mapping[str, Any]], namespace: str) -> str:
    """Return why the references to `objects` cannot be recorded; empty text when they can.

    `namespace` is that of objects which name none.
    """
    size = sum(_reference_bytes(obj, namespace) for obj in objects)
    if size <= REFERENCE_BYTES:
        return ""
    return (
        f"the names of the manifest's {len(objects)} objects take {size // 1024} KiB, of one action at most "
        f"{REFERENCE_BYTES // 1024} KiB can be recorded: use several actions"
    )


def _reference_bytes(obj: Mapping[str, Any], namespace: str) -> int:
    metadata = obj["metadata"]
    texts = (obj["apiVersion"], obj["kind"], metadata.get("namespace") or namespace, metadata["name"])
    return _FIXED + sum(len(str(text).encode("utf-8", "replace")) for text in texts)
