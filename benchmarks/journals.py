"""Threads in databases: the journals beside the savers of LangGraph's packages, on both engines.

A row is of one saver, and its columns are the engines; goals are about what users of langgraph have
today, its own saver in another row.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Final

from benchmarks import savers
from benchmarks.chain import build
from benchmarks.peers import PEERS, Peer, word
from benchmarks.rows import (
    Contender,
    Goal,
    Group,
    Row,
    ceiling,
    fraction,
)
from benchmarks.savers import Saver
from benchmarks.saving import aconsume, consume, threads

Case = tuple[str, bool]
"""Durability, and whether the driver is async."""

CASES: Final[tuple[Case, ...]] = (
    ("sync", False),
    ("sync", True),
    ("async", False),
    ("async", True),
)
DIVISORS: Final[Mapping[str, Mapping[Case, float]]] = {
    "SqliteJournal": dict(zip(CASES, (8, 12, 15, 15), strict=True)),
    "PostgresJournal": dict(zip(CASES, (4, 4, 6, 6), strict=True)),
    "SqliteSaver": {("async", False): 2, ("async", True): 2},
}
"""Journal -> what part of langgraph with its own saver a step may cost."""
LIMITS: Final[Mapping[Case, float]] = {("sync", False): 60.0, ("sync", True): 80.0}
"""Microseconds that a step may take with a `SqliteJournal`."""


def groups(length: int = 100) -> list[Group]:
    """Return the groups of this area."""
    synced = (savers.SQLITE_SYNCED, savers.SQLITE_JOURNAL_SYNCED)
    return [
        _chains("SQLite", length, savers.SQLITE, savers.SQLITE_JOURNAL),
        _chains("PostgreSQL", length, savers.POSTGRES, savers.POSTGRES_JOURNAL),
        # No goal: all store as often, and on a busy disk wait for little else.
        Group(
            "chain with a file, waiting for the disk",
            tuple(
                _chain(saver, length, ("async", is_async))
                for saver in synced
                for is_async in (False, True)
            ),
        ),
    ]


def _chains(where: str, length: int, theirs: Saver, ours: Saver) -> Group:
    rows = []
    for case in CASES:
        beside = _chain(theirs, length, case)
        rows += [beside, _chain(ours, length, case, beside.title)]
    return Group(f"chain with {where}", tuple(rows))


def _chain(saver: Saver, length: int, case: Case, beside: str = "") -> Row:
    durability, is_async = case
    # Titles say what is not the default.
    stored = "durability sync, " if durability == "sync" else ""
    title = f"chain of {length}, {saver.name}, {stored}{word(is_async)}"
    goals: tuple[Goal, ...] = ()
    if (divisor := DIVISORS.get(saver.name, {}).get(case)) is not None:
        goals = (fraction(beside or title, divisor),)
    if saver is savers.SQLITE_JOURNAL and case in LIMITS:
        goals = (ceiling(LIMITS[case]), *goals)
    if saver.name.startswith("Postgres") and not savers.SERVER:
        return Row(title, "step", length, (), goals, missing=savers.NO_SERVER)
    make = asaved if is_async else saved
    contenders = tuple(make(peer, saver, length, durability) for peer in PEERS)
    return Row(title, "step", length, contenders, goals)


def saved(peer: Peer, saver: Saver, length: int, durability: str) -> Contender:
    """Return a chain that is saved, each time in another thread."""
    stack = ExitStack()
    graph: Any = None
    configs = threads()

    def call() -> None:
        nonlocal graph
        if graph is None:
            opened = stack.enter_context(saver.open())
            graph = build(peer, length, is_async=False, checkpointer=opened)
        consume(graph, next(configs), length, durability=durability)

    return Contender(peer.name, call, after=stack.close)


def asaved(peer: Peer, saver: Saver, length: int, durability: str) -> Contender:
    """Return the async twin of `saved`."""
    stack = AsyncExitStack()
    graph: Any = None
    configs = threads()

    async def call() -> None:
        nonlocal graph
        if graph is None:
            opened = await stack.enter_async_context(saver.aopen())
            graph = build(peer, length, is_async=True, checkpointer=opened)
        await aconsume(graph, next(configs), length, durability=durability)

    return Contender(peer.name, call, after=stack.aclose)
