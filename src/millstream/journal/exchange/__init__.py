"""Threads between a journal and the tables of LangGraph's own savers, in both directions.

`packing` knows the bytes, `records` what is moved, `sqlite` and `postgres` the tables; `importing`
and `exporting` move. Values are never made: their bytes are taken as they are, so no code of the
program is needed, and none runs.
"""

from millstream.journal.exchange.exporting import export_threads
from millstream.journal.exchange.importing import import_threads
from millstream.journal.exchange.records import ExchangeError, LeftOutError, Report

__all__ = ("ExchangeError", "LeftOutError", "Report", "export_threads", "import_threads")
