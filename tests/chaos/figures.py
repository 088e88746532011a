"""What is told at the end: counts, and how long takeovers and gaps took."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from chaos.ledger import Entry
from chaos.records import Told


class Ended(NamedTuple):
    """A replica was disturbed, so that others might take over its runs."""

    at: float
    replica: str
    kind: str


def takeovers(entries: Iterable[Entry], disturbed: Sequence[Ended]) -> Iterator[tuple[str, float]]:
    """Yield for each takeover what it was for, and the seconds until the next attempt did a thing.

    They count from the last disturbance of the replica that had the attempt before.
    """
    at_of: dict[str, list[Ended]] = {}
    for one in sorted(disturbed):
        at_of.setdefault(one.replica, []).append(one)
    owner: dict[str, tuple[int, str]] = {}
    for entry in entries:
        attempt, replica = owner.get(entry.run_id, (0, ""))
        if entry.attempt <= attempt:
            continue
        owner[entry.run_id] = entry.attempt, entry.replica
        known = at_of.get(replica, [])
        place = bisect_right(known, entry.at, key=lambda one: one.at)
        if attempt and place:
            yield known[place - 1].kind, entry.at - known[place - 1].at


def gaps(told: Told) -> Iterator[float]:
    """Yield how long a client has seen nothing of a run, each time that it has come back for it."""
    for turn in told.turns:
        times = [event.at for event in turn.seen]
        places = sorted({bisect_right(times, at) for at in turn.joined})
        for place in places:
            if 0 < place < len(times):
                yield times[place] - times[place - 1]


def percentiles(seconds: Sequence[float]) -> str:
    """Return the median and the 99th percentile, and of how many."""
    if not seconds:
        return "none"
    known = sorted(seconds)
    median, high = (known[min(len(known) - 1, int(len(known) * p))] for p in (0.5, 0.99))
    return f"p50 {median:.2f} s, p99 {high:.2f} s, of {len(known)}"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts as text."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
