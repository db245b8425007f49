"""Whether a text is a duration that something may take."""

from __future__ import annotations

from datetime import timedelta

from app.engine.durations import parse_nanoseconds
from app.rules.remember import remembered

DURATIONS = "write a duration such as 90s, 5m or 1h30m"
SHORTEST = timedelta(milliseconds=1)
"""No time-out is shorter: nothing can be done in less, and messages tell times in milliseconds."""
_SHORT = 256


@remembered(_SHORT)
def timeout_problem(timeout: str) -> str:
    """Say what keeps a text from being a time-out; empty when nothing does."""
    try:
        nanoseconds = parse_nanoseconds(timeout)
    except ValueError as error:
        return f"{error} ({DURATIONS})"
    if nanoseconds <= 0:
        return "timeout must be positive"
    if timedelta(microseconds=nanoseconds / 1000) < SHORTEST:
        return f"timeout must be at least 1ms ({DURATIONS})"
    return ""
