"""Whether a text is a duration that something may take."""

from __future__ import annotations

from datetime import timedelta

from app.engine.durations import parse_duration
from app.rules.remember import remembered

DURATIONS = "write a duration such as 90s, 5m or 1h30m"
_SHORT = 256


@remembered(_SHORT)
def timeout_problem(timeout: str) -> str:
    """Say what keeps a text from being a time-out; empty when nothing does."""
    try:
        return "" if parse_duration(timeout) > timedelta(0) else "timeout must be positive"
    except ValueError as error:
        return f"{error} ({DURATIONS})"
