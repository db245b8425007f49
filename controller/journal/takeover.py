"""What a new leader may believe of the past of the runs under way (design: the journal)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from app.engine.doubt import Takeover
from app.engine.durations import format_duration
from app.models.suspension import Reason
from controller.journal.format import segment_name
from controller.journal.head import Head

OUTLIVED = timedelta(minutes=5)
"""A leader that lived longer than this after its take-over was not ended by what it took up then."""
WITHOUT_HEAD = timedelta(hours=24)
"""Age of the newest entry at which runs do not go on by themselves where no head says when their leader was alive."""


def judge(
    head: Head | None,
    found: Collection[int],
    newest: datetime | None,
    now: datetime,
    *,
    resume_within: timedelta,
    damaged: Sequence[str] = (),
) -> Takeover:
    """Return what the journal says for itself.

    `found` are the numbers of the segments that are there, `damaged` says what is wrong with some of them, `newest` is
    the time of the newest entry.
    """
    was_cut_off = head is not None and not head.ended_in_order and head.alive - head.since < OUTLIVED
    reason, message = _doubt(head, found, newest, now, resume_within)
    if damaged and reason is not Reason.JOURNAL_INCOMPLETE:
        reason, message = Reason.JOURNAL_INCOMPLETE, _listed(damaged)
    return Takeover(reason, message, head.covered if head is not None else {}, was_cut_off)


def _doubt(
    head: Head | None, found: Collection[int], newest: datetime | None, now: datetime, resume_within: timedelta
) -> tuple[Reason | None, str]:
    if head is None and not found:
        return Reason.JOURNAL_INCOMPLETE, "the journal was deleted while no controller led"
    if head is not None and head.unsure:
        return Reason.JOURNAL_INCOMPLETE, head.unsure
    if missing := [number for number in head.segments if number not in found] if head is not None else []:
        return Reason.JOURNAL_INCOMPLETE, _missing(missing)
    last, bound = (head.alive, resume_within) if head is not None else (newest, max(WITHOUT_HEAD, resume_within))
    if last is not None and now - last > bound:
        return Reason.INTERRUPTED_LONG_AGO, _old(last, now - last, bound)
    return None, ""


def _missing(numbers: Sequence[int]) -> str:
    names = ", ".join(map(segment_name, numbers[:3])) + (", ..." if len(numbers) > 3 else "")
    return f"{len(numbers)} segment(s) of the journal ({names}) were deleted while no controller led"


def _listed(damaged: Sequence[str]) -> str:
    return f"the journal was changed by somebody: {'; '.join(damaged[:3])}" + ("; ..." if len(damaged) > 3 else "")


def _old(last: datetime, age: timedelta, bound: timedelta) -> str:
    return (
        f"no controller has led since {last:%Y-%m-%dT%H:%M:%SZ}, {format_duration(_whole(age))} ago, or the cluster "
        f"was restored from a backup of then; runs go on by themselves within {format_duration(_whole(bound))} only "
        "(--resume-within)"
    )


def _whole(length: timedelta) -> timedelta:
    return timedelta(seconds=int(length.total_seconds()))
