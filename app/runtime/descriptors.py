"""How many descriptors a process may have open: as many as whoever started it allows at all."""

from __future__ import annotations

import resource

from app.runtime.logging import get_logger

log = get_logger(__name__)

SPARE = 200
"""Descriptors for all but actions: ports, watches, the API server's pool, worker processes."""
_PER_EFFECT = 2
"""Descriptors of one action: a connection to its target, and one to the API server."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one, log it, and return what counts now.

    The soft limit is 1,024 in many shells and containers, for the sake of programs that use select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warning("limit of open descriptors stays", limit=soft, hard=hard, error=str(error))
        return soft
    log.info("limit of open descriptors", limit=hard, before=soft)
    return hard


def effects_within(most: int, limit: int) -> int:
    """Return how many actions may be under way at once: `most`, or fewer where `limit` descriptors do not suffice."""
    fitting = max(1, (limit - SPARE) // _PER_EFFECT)
    if limit == resource.RLIM_INFINITY or fitting >= most:
        return most
    log.warning(
        "fewer actions at once than set, because this process may not open enough descriptors; raise its limit",
        actions=fitting,
        max_effects=most,
        limit=limit,
    )
    return fitting
