"""A JSON patch (RFC 6902) from one object to another, for writes that need no verb but `patch` (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.engine.field_paths import same

MOST_OPERATIONS = 5000
"""Above that, whole members are replaced: the API server refuses patches of more than 10,000 operations."""
_DEPTH_OF_MEMBERS = 1


def json_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the operations that make `after` of `before`; none when they are equal. Lists are replaced whole.

    Lists are right only for the state that `before` is, so send it with a precondition.
    """
    operations = list(_operations(before, after, "", None))
    return operations if len(operations) <= MOST_OPERATIONS else list(_operations(before, after, "", _DEPTH_OF_MEMBERS))


def at_version(operations: list[dict[str, Any]], version: str) -> list[dict[str, Any]]:
    """Return the operations with a resourceVersion as their precondition: Conflict when the object has another."""
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, *operations]


def _operations(
    before: Mapping[str, Any], after: Mapping[str, Any], pointer: str, depth: int | None
) -> Iterator[dict[str, Any]]:
    for name in dict.fromkeys((*before, *after)):
        at = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            yield {"op": "remove", "path": at}
        elif name not in before:
            yield {"op": "add", "path": at, "value": after[name]}
        elif same(before[name], after[name]):
            continue
        elif depth != 1 and isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from _operations(before[name], after[name], at, None if depth is None else depth - 1)
        else:
            yield {"op": "replace", "path": at, "value": after[name]}
