"""Savers that store what has changed, once.

`SqliteJournal` keeps threads in a file, `PostgresJournal` in a database, `MemoryJournal` in this
process, for tests.
"""

from millstream.journal.guards import Guard
from millstream.journal.memory import MemoryJournal
from millstream.journal.postgres import PostgresJournal
from millstream.journal.saver import Journal
from millstream.journal.sqlite import SqliteJournal
from millstream.journal.ttl import TTL

__all__ = ("TTL", "Guard", "Journal", "MemoryJournal", "PostgresJournal", "SqliteJournal")
