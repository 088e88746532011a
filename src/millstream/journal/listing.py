"""Listing the checkpoints of many lines by their ids: which of them come next.

Each line is read in that order, and the lines are merged: so what is read is about what is listed,
however many lines there are. Of those whose turn has not come only the greatest id is known.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millstream.journal.rows import CheckpointRow, FindNewest, LineRow, PageRows, Request

PAGE: Final = 32
"""Checkpoints that are read at once where nobody says how many."""
_FIRST: Final = 4
"""Checkpoints of one of several lines that are read when its turn has come."""
_MOST_AHEAD: Final = 8192
"""Rows that have been read of all lines together, and not listed."""
_LINES_AT_ONCE: Final = 500


@dataclass(slots=True)
class Feed:
    """The checkpoints of one line that were not listed yet."""

    id: str
    """The greatest of their ids, or with `is_bound` one that is greater than all of them."""
    line: LineRow
    before: str | None
    """What is read next has ids less than that, None: any."""
    size: int
    """How many are read next."""
    is_bound: bool
    rows: list[CheckpointRow] = field(default_factory=list)
    """Those that have been read, the last one is next."""
    is_read: bool = False
    """There are no others than those in `rows`."""

    def __lt__(self, other: Feed) -> bool:
        """Say which comes first: greater ids do, and those that are there before bounds."""
        mine, its = (self.is_bound, self.line.number), (other.is_bound, other.line.number)
        return (other.id, mine) < (self.id, its)

    def has(self, id: str) -> bool:
        """Say whether it goes on with that id."""
        return self.id == id and not self.is_bound


@dataclass(slots=True)
class Listing:
    """Which checkpoints are asked for, and how far they have been read."""

    thread_id: str | None
    ns: str | None
    id: str | None
    before: str | None
    filter: Mapping[str, Any]
    left: int | None
    """How many more, None: all."""
    lines: list[LineRow] | None = None
    feeds: list[Feed] | None = None
    """A heap; None where nobody knows how far lines have been read."""
    ended: bool = False


Found = tuple[str, LineRow, CheckpointRow]


def next_rows(
    listing: Listing, lines: Sequence[LineRow], limit: int
) -> Generator[Request, Any, tuple[list[Found], list[Feed]]]:
    """Return the rows that are next, the greatest ids first, and the feeds of what comes then.

    Two lines may have checkpoints of the same id, as copies do: one page has all of them. Until it
    is done, the listing has no feeds: whoever begins again goes by its `before`.
    """
    feeds, listing.feeds = listing.feeds, None
    if feeds is None:
        feeds = yield from _feeds(lines, listing.before, limit)
    most = max(1, min(PAGE, _MOST_AHEAD // max(1, len(feeds))))
    found: list[Found] = []
    while feeds and (len(found) < limit or feeds[0].has(found[-1][0])):
        feed = feeds[0]
        if feed.rows:
            row = feed.rows.pop()
            found.append((row.id or "", feed.line, row))
            feed.before, feed.is_bound = row.id, True
        else:
            size = min(feed.size, most)
            if len(feeds) == 1:
                size = min(size, max(1, limit - len(found)))
            rows = yield PageRows(feed.line.number, feed.before, size)
            feed.rows, feed.is_read, feed.size = rows[::-1], len(rows) < size, 2 * size
        if feed.rows:
            feed.id, feed.is_bound = feed.rows[-1].id or "", False
        if feed.rows or not feed.is_read:
            heapq.heapreplace(feeds, feed)
        else:
            heapq.heappop(feeds)
    return found, feeds


def _feeds(
    lines: Sequence[LineRow], before: str | None, limit: int
) -> Generator[Request, Any, list[Feed]]:
    """Return what is next of each line that has anything."""
    if len(lines) == 1:
        return [Feed("", lines[0], before, limit, is_bound=True)]
    feeds: list[Feed] = []
    for first in range(0, len(lines), _LINES_AT_ONCE):
        some = {line.number: line for line in lines[first : first + _LINES_AT_ONCE]}
        newest = yield FindNewest(list(some), before)
        for number, id in newest.items():
            feed = Feed(id, some[number], f"{id}\0", min(_FIRST, limit), is_bound=False)
            feeds.append(feed)
    heapq.heapify(feeds)
    return feeds
