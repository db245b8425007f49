"""Verdicts about an execution that has not run: it may begin, it waits, it is asked again, it ends."""

from __future__ import annotations

from dataclasses import dataclass

from app.models.failures import FailureReason
from app.models.phases import Phase
from app.models.suspension import Reason


@dataclass(frozen=True, slots=True)
class Go:
    """It may begin, as far as was asked."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It stays Pending and says `message`; looked at again after `seconds`, or when something changes."""

    message: str
    seconds: float | None = None
    reason: Reason | None = None
    """Why it is parked: it holds nothing, and only a human lets it begin."""


@dataclass(frozen=True, slots=True)
class Again:
    """Not yet, for a reason that passes by itself within moments: `why` goes to the log, not into the status."""

    why: str


@dataclass(frozen=True, slots=True)
class End:
    """It ends without having run anything."""

    phase: Phase
    message: str
    reason: FailureReason = FailureReason.START_REFUSED
    """Why it fails."""


Verdict = Go | Wait | Again | End
