"""The journal: a write-ahead log of all runs in ConfigMaps of the controller's own namespace (design: the journal)."""

from app.engine.doubt import Takeover
from controller.journal.batch import EntryRefused
from controller.journal.format import DamagedSegmentError, Entry, Header
from controller.journal.store import Deposed
from controller.journal.writer import Journal, JournalClosed

__all__ = ["DamagedSegmentError", "Deposed", "Entry", "EntryRefused", "Header", "Journal", "JournalClosed", "Takeover"]
