"""The API server's clock, as the dates of its answers tell it.

What the controller records (starts, ends, when a retry is due) is compared later: by the next leader, on another
machine, and with what the API server stamped. So all of it is said on one clock, the API server's. That machines are
apart by a minute must not make an action time out or a start fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from app.runtime import metrics
from app.runtime.logging import get_logger

log = get_logger(__name__)

TOLERANCE = 2.0
"""Seconds up to which two clocks count as the same: a date has whole seconds, and answers take their time."""
SLOW_ANSWER = 1.0
"""Of an answer that took longer nobody knows when it was dated: it tells of differences only that are larger than that.
A server that is slow to answer everybody must not leave clocks unnoticed that are minutes apart."""
INTERVAL = 1.0
"""Seconds between two looks at a date."""


class ServerTime:
    """How far the API server's clock is ahead of this machine's. `wall` is this machine's, in seconds since 1970."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._ahead = 0.0
        self._looked_at = 0.0

    @property
    def ahead(self) -> float:
        """Seconds that are added to this machine's time; 0 while the two agree."""
        return self._ahead

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.fromtimestamp(self.wall(), UTC) + timedelta(seconds=self._ahead)

    def note(self, date: str | None, asked_at: float) -> None:
        """Learn from the Date header of an answer that has just come; `asked_at` is when it was asked for."""
        answered_at = self.wall()
        took = answered_at - asked_at
        if date is None or took < 0 or abs(answered_at - self._looked_at) < INTERVAL:
            return
        try:
            said = parsedate_to_datetime(date).timestamp() + 0.5
        except ValueError:
            return
        ahead = said - (asked_at + answered_at) / 2
        if took >= SLOW_ANSWER and abs(ahead - self._ahead) <= took / 2 + TOLERANCE:
            return
        self._looked_at = answered_at
        if abs(ahead) < TOLERANCE:
            ahead = 0.0
        if abs(ahead - self._ahead) >= TOLERANCE / 2:
            log.warning("the clocks of this machine and the API server differ", server_ahead=round(ahead, 1))
            self._ahead = ahead
        metrics.kube_clock_ahead_seconds.set(self._ahead)
