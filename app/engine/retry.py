"""When a failed action is tried again: the rules of `retryPolicy`, without the waiting itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta

from app.engine.durations import parse_duration
from app.engine.gotext import quote
from app.models import actions

DEFAULT_LIMIT = 3
DEFAULT_INTERVAL = "5s"
DEFAULT_MULTIPLIER = "2.0"
MIN_DELAY = timedelta(milliseconds=100)
"""No delay is shorter, whatever the interval: an action without one must not hammer its target or the journal."""
MAX_DELAY = timedelta(minutes=5)
"""No back-off is longer than this; only a server's own Retry-After may ask for more."""
JITTER = 0.2
"""The largest part by which chance shortens or lengthens a delay, so that runs do not retry in step."""

_MAX_RETRY_AFTER_SECONDS = timedelta(days=365).total_seconds()
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a failed attempt is repeated."""

    limit: int = DEFAULT_LIMIT
    """Retries after the first attempt; 0 means none."""
    interval: timedelta = timedelta(seconds=5)
    """The delay before the first retry."""
    multiplier: float = 2.0
    """Each further delay is this many times longer."""

    @classmethod
    def parse(cls, block: actions.RetryPolicy | None) -> RetryPolicy:
        """Return the policy that a `retryPolicy` block spells out; absent or empty members take their defaults.

        A negative limit counts as absent. Raises ValueError with the API's text, to be prefixed
        `invalid retry policy: `.
        """
        if block is None:
            return cls()
        return cls(
            limit=DEFAULT_LIMIT if block.limit is None or block.limit < 0 else block.limit,
            interval=_interval(block.interval or DEFAULT_INTERVAL),
            multiplier=_multiplier(block.backoff_multiplier or DEFAULT_MULTIPLIER),
        )

    def allows(self, retries: int) -> bool:
        """Whether one more retry may follow after `retries` of them."""
        return retries < self.limit

    def delay(self, retry: int, jitter: float, retry_after: float | None = None) -> timedelta:
        """How long to wait before retry number `retry`, counted from 0.

        It is never less than MIN_DELAY. `jitter` is a random number in [0, 1) from the caller; 0.5 leaves the delay as
        it is. `retry_after` is what the server asked for, in seconds: the delay is never shorter.
        """
        nominal = min(self._nominal_seconds(retry), MAX_DELAY.total_seconds())
        spread = min(nominal * (1 - JITTER + 2 * JITTER * jitter), MAX_DELAY.total_seconds())
        asked = min(retry_after or 0.0, _MAX_RETRY_AFTER_SECONDS)
        return timedelta(microseconds=math.ceil(max(spread, asked, MIN_DELAY.total_seconds()) * 1e6))

    def _nominal_seconds(self, retry: int) -> float:
        try:
            return self.interval.total_seconds() * self.multiplier**retry
        except OverflowError:
            return math.inf if self.interval else 0.0


def _interval(text: str) -> timedelta:
    try:
        interval = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"invalid retry interval {text}: {error}") from error
    if interval < timedelta(0):
        raise ValueError(f"invalid retry interval {text}: must not be negative")
    return interval


def _multiplier(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(_multiplier_problem(text, "invalid syntax"))
    multiplier = float(text)
    if math.isinf(multiplier):
        raise ValueError(_multiplier_problem(text, "value out of range"))
    if multiplier < 1.0:
        raise ValueError(f"backoff multiplier must be >= 1.0, got {multiplier:.6f}")
    return multiplier


def _multiplier_problem(text: str, problem: str) -> str:
    return f"invalid backoff multiplier {text}: strconv.ParseFloat: parsing {quote(text)}: {problem}"
