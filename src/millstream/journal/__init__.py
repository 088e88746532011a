"""Savers that store what has changed, once.

`MemoryJournal` keeps threads in this process, for tests.
"""

from millstream.journal.memory import MemoryJournal
from millstream.journal.saver import Journal

__all__ = ("Journal", "MemoryJournal")
