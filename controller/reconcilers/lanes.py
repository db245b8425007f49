"""In which lane of their queue executions are reconciled, and what those lanes show of themselves.

A start reads what its parameters refer to, which may hang for as long as the API server or a webhook of its lets it. So
starts wait in tasks of their own, and those that failed before apart from those that did not. Runs to be taken up come
first.
"""

from __future__ import annotations

from collections.abc import Callable

from app.kube.cache import Cache
from app.models.phases import Phase
from app.models.stored import members
from controller.executions import cancel_message_of
from controller.lanes import Key, Lane

START_SECONDS = 300.0
"""Seconds that a start may take; then it is tried again.

Each of its requests ends much sooner. But a hundred starts of large plans share the processor, and what one has done
must not be thrown away just because the others are at work too."""
PATIENCE = 1.0
"""Seconds after which a start no longer keeps the next one waiting."""
MOST_STARTS = 100
"""Starts under way at once, of each of the two kinds."""

RUNS = Lane("run")
STARTS = Lane("start", 8, PATIENCE, MOST_STARTS, START_SECONDS)
REPEATED = Lane("repeated-start", 8, PATIENCE, MOST_STARTS, START_SECONDS)
REST = Lane("rest")
LANES = (RUNS, STARTS, REPEATED, REST)
_ENDED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, "Canceled"})


def lane_of(executions: Cache, is_under_way: Callable[[str], bool], key: Key, again: bool) -> str:
    """Return the lane of an execution; `is_under_way` tells of a uid whether it has run, whatever its status says."""
    stored = executions.get(*key)
    if stored is None:
        return REST.name
    phase = members(stored.get("status")).get("phase") or Phase.PENDING
    if is_under_way(stored["metadata"]["uid"]) or phase not in (Phase.PENDING, *_ENDED):
        return RUNS.name
    if phase != Phase.PENDING or cancel_message_of(stored["metadata"]):
        return REST.name
    return REPEATED.name if again else STARTS.name
