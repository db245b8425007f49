"""How often runs may write their statuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_PER_RUN = 0.025
"""The interval grows by this for each run under way: all runs together write at most 40 statuses a second."""
SHARED_INTERVAL = 2.5
"""Seconds to which the number of runs makes the interval grow at most."""


class StatusPace:
    """How often a run may write its status; shared by the runs of a process, of which each `joined` one counts."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._runs = 0

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Count one more run until the end of the block."""
        self._runs += 1
        try:
            yield
        finally:
            self._runs -= 1

    @property
    def interval(self) -> float:
        """Seconds between two ordinary writes of one run."""
        return max(self._interval, min(self._runs * SECONDS_PER_RUN, SHARED_INTERVAL))
