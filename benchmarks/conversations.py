"""Long threads, and many of them, in a file; each saver on each engine in a process of its own."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks import savers
from benchmarks.peers import PEERS
from benchmarks.readings import Readings
from benchmarks.rows import Contender, Goal, Group, Kind, Row, at_least, ceiling, growth

KINDS: Final = (savers.SQLITE.name, savers.SQLITE_JOURNAL.name)
LARGEST: Final = 1.6
"""How many times the bytes of its messages a conversation may take on the disk."""
GROWTH: Final = 1.2
"""How much more a late turn may cost than an early one, serializing aside."""
NEWEST: Final = 5.0
HISTORY: Final = 10.0
"""Milliseconds beyond loading the values."""
RATE: Final = 10_000
"""Supersteps a second of many threads in one file."""


def groups(turns: int = 1000, together: int = 100, steps: int = 20) -> list[Group]:
    """Return the groups of this area."""
    return [_conversation(turns), _together(together, steps)]


def _conversation(turns: int) -> Group:
    """Return what `benchmarks.conversation` tells of one for each engine and saver.

    In a quick look it is shorter than its rows say.
    """
    rows = []
    kinds = (savers.SQLITE.name, savers.SQLITE_JOURNAL.name)
    for kind in kinds:
        title = f"conversation of {turns:,} messages of 1 kB, {kind}"
        told = {
            peer.name: Readings("benchmarks.conversation", [peer.name, kind], is_kept=True)
            for peer in PEERS
        }
        base = f"{title}: turn {turns // 10}"
        numbers: dict[str, tuple[str, str, tuple[Goal, ...]]] = {
            "size": (f"{title}: bytes of a message's", "x", (ceiling(LARGEST, "x"),)),
            "early": (base, "ms", ()),
            "late": (f"{title}: turn {turns}", "ms", (growth(base, GROWTH),)),
            "warm": (f"{title}: newest state", "ms", (ceiling(NEWEST, "ms"),)),
            "cold": (f"{title}: newest state, cold", "ms", (ceiling(NEWEST, "ms"),)),
            "history": (f"{title}: history(limit=10)", "ms", (ceiling(HISTORY, "ms"),)),
        }
        for name, (what, measure, goals) in numbers.items():
            aimed = goals if kind == savers.SQLITE_JOURNAL.name else ()
            contenders = tuple(
                Contender(who, partial(_told, readings, name, turns), kind=Kind.SOLO)
                for who, readings in told.items()
            )
            rows.append(Row(what, "", 1, contenders, aimed, measure))
    return Group("a conversation in a file; times are what serializing does not take", tuple(rows))


def _told(readings: Readings, name: str, turns: int, supersteps: int) -> float:
    return readings.take(name, min(turns, supersteps))


def _together(together: int, steps: int) -> Group:
    """Return how fast many threads are together in one file."""
    rows = []
    for kind in (savers.SQLITE.name, savers.SQLITE_JOURNAL.name):
        title = f"{together} threads at once in one file, {kind}"
        goals = (at_least(RATE, "steps/s"),) if kind == savers.SQLITE_JOURNAL.name else ()
        contenders = []
        for peer in PEERS:
            told = Readings("benchmarks.saved_crowd", [peer.name, kind, together, steps])
            contenders.append(Contender(peer.name, partial(_rate, told), kind=Kind.SOLO))
        rows.append(Row(title, "", 1, tuple(contenders), goals, "steps/s", is_rate=True))
    return Group(f"{together} threads in one file, {steps} steps each", tuple(rows))


def _rate(readings: Readings, supersteps: int) -> float:
    return readings.take("steps/s")
