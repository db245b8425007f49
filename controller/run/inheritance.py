"""What a new leader tells the runs that were under way about their past (design: the journal)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.models.execution import DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.stored import members
from app.models.suspension import Reason
from app.runtime.logging import get_logger
from controller.journal import Journal, Takeover

log = get_logger(__name__)


class Inheritance:
    """The runs that were under way when this process took over. Each is told once what to believe of its past.

    When all have been told, or are gone, the journal's head lives again: until then the next leader finds the same
    verdict.
    """

    def __init__(self, journal: Journal, uids: Iterable[str]) -> None:
        self._journal = journal
        self._left = set(uids)
        if journal.takeover.reason is None or not self._left:
            journal.take_over()
        else:
            log.warning("runs under way have to ask", runs=len(self._left), because=journal.takeover.message)

    async def of(self, uid: str, base: DRPlanExecutionStatus, sequences: Sequence[int]) -> Takeover | None:
        """Return what to believe of the past of a run; None when it began here or has been told.

        `base` is the status that its entries in the journal, numbered `sequences`, go on from. A run that this process
        has driven and that runs again may be one of a restored etcd: that raises `WoundBackError`, and `KubeError` when
        nobody can tell.
        """
        if uid in self._left:
            return with_gap(self._journal.takeover, uid, base, sequences)
        await self._journal.demand_current()
        return None

    def forget(self, uid: str) -> None:
        """Take a run off the list: it has recorded why it has to ask, or it has nothing to ask any more."""
        self._left.discard(uid)
        if not self._left:
            self._journal.take_over()


def under_way(executions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the uids of the stored executions that have begun and not ended."""
    phases = (Phase.RUNNING.value, Phase.UNKNOWN.value)
    return [item["metadata"]["uid"] for item in executions if members(item.get("status")).get("phase") in phases]


def with_gap(takeover: Takeover, uid: str, status: DRPlanExecutionStatus, sequences: Sequence[int]) -> Takeover:
    """Return the verdict on the run `uid`, of whose entries, numbered `sequences`, some may be missing.

    That its status is older than one that was written once is the same: the entries between are gone.
    """
    later = [sequence for sequence in sequences if sequence > status.journal_sequence]
    expected = range(status.journal_sequence + 1, status.journal_sequence + 1 + len(later))
    known = max(later, default=status.journal_sequence)
    if takeover.reason is not None or (later == list(expected) and known >= takeover.covered.get(uid, 0)):
        return takeover
    gaps = (number for number, sequence in zip(expected, later, strict=True) if number != sequence)
    lost = next(gaps, known + 1)
    message = f"entry {lost} of this run is missing: its status and the journal are of different times"
    return replace(takeover, reason=Reason.JOURNAL_INCOMPLETE, message=message)
