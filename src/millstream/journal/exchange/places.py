"""Which tables a path or an address is of."""

from __future__ import annotations

import os

from millstream.journal.exchange.postgres import PostgresTables
from millstream.journal.exchange.records import Tables
from millstream.journal.exchange.sqlite import SqliteTables
from millstream.journal.saver import Journal


def tables_at(place: str | os.PathLike[str], journal: Journal, *, is_target: bool) -> Tables:
    """Return the tables of LangGraph's saver there; those of a target are made.

    Values are encrypted as those of the journal are.
    """
    path = os.fspath(place)
    cipher = journal._sealing().cipher
    if path.startswith(("postgresql://", "postgres://")):
        return PostgresTables(path, cipher, is_target=is_target)
    return SqliteTables(path, cipher, is_target=is_target)
