"""Which threads a journal has, and which namespaces they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from millstream.journal.access import answer
from millstream.journal.rows import FindLines, LineRow
from millstream.journal.saver import Journal

_PAGE: Final = 512
"""Lines that are asked for at once."""


def thread_ids(journal: Journal) -> Iterator[str]:
    """Yield the ids of all threads, in the order in which they began."""
    seen: set[str] = set()
    for line in lines_of(journal):
        if line.thread_id not in seen:
            seen.add(line.thread_id)
            yield line.thread_id


def namespaces(journal: Journal, thread_id: str) -> list[str]:
    """Return the namespaces of a thread in their order; none if there is no such thread."""
    return sorted(line.ns for line in lines_of(journal, thread_id))


def lines_of(journal: Journal, thread_id: str | None = None) -> Iterator[LineRow]:
    """Yield the lines of a thread or of all, by number, a page of them in memory."""
    after = 0
    while True:
        page: list[LineRow]
        page = answer(journal, FindLines(thread_id, after=after, limit=_PAGE))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].number
