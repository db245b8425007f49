"""The journal: a write-ahead log of all runs in ConfigMaps of the controller's own namespace (design: the journal)."""

from app.engine.doubt import Takeover
from controller.journal.batch import EntryRefusedError
from controller.journal.format import DamagedSegmentError, Entry, Header
from controller.journal.store import DeposedError
from controller.journal.writer import Journal, JournalClosedError

__all__ = [
    "DamagedSegmentError",
    "DeposedError",
    "Entry",
    "EntryRefusedError",
    "Header",
    "Journal",
    "JournalClosedError",
    "Takeover",
]
