"""Why a run stands still in phase Unknown, or an execution does not start: reasons of the condition `Suspended`."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of `Suspended`; docs/operating.md says of each what to do."""

    OUTCOME_UNKNOWN = "OutcomeUnknown"
    """A write of an action was never answered and the API server was away for long."""
    RECORD_REFUSED = "RecordRefused"
    """The API server refuses for good what the run has to record."""
    JOURNAL_INCOMPLETE = "JournalIncomplete"
    """Entries of the journal are missing: what the run has done last is not known."""
    INTERRUPTED_LONG_AGO = "InterruptedLongAgo"
    """No controller has led for long, or the cluster was restored from a backup: the run must not go on by itself."""
    RESTORED_FROM_BACKUP = "RestoredFromBackup"
    """The execution was created from a backup and does not start by itself."""
    CREATED_LONG_AGO = "CreatedLongAgo"
    """The execution was created long before a controller could start it, and does not start by itself."""
