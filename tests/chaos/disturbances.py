"""What is done to the replicas and their database, and when: decided by a seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

KILL: Final = "kill"
"""SIGKILL; started again after a moment."""
STOP: Final = "stop"
"""SIGSTOP for longer than the lease, then SIGCONT."""
CUT: Final = "cut"
"""The database cannot be reached, or cannot answer, or both."""
ISOLATE: Final = "isolate"
"""Nothing comes to a replica, nor from it: neither the database nor clients."""
TERM: Final = "term"
"""SIGTERM; started again when it has ended."""
FAST: Final = "database fast"
"""The database ends its sessions and starts again."""
IMMEDIATE: Final = "database immediate"
"""The database crashes, and recovers."""
OF_REPLICAS: Final = (KILL, STOP, CUT, ISOLATE, TERM)
OF_DATABASE: Final = (FAST, IMMEDIATE)

_BEFORE: Final = 4.0
"""Seconds until the first."""
_APART: Final = (2.0, 7.0)
"""Seconds between two."""
_RECOVERY: Final = 6.0
"""Seconds for which a replica counts as disturbed after it is left alone again."""
_CALM: Final = 3.0
"""Seconds before the end for which nothing new is begun."""


class Disturbance(NamedTuple):
    """One thing that is done."""

    at: float
    """Seconds after the beginning."""
    kind: str
    target: int
    """The number of a replica; -1 is the database."""
    seconds: float
    """For how long; 0 if it is over at once."""
    directions: tuple[str, ...] = ()
    """What is cut: `forth` to the database, `back` from it."""
    is_forgotten: bool = False
    """Whether connections are reset when the network is there again."""

    def __str__(self) -> str:
        whom = "" if self.target < 0 else f" r{self.target}"
        more = " ".join((*self.directions, *(["reset"] if self.is_forgotten else [])))
        long = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:6.1f} s {self.kind}{whom}{long} {more}".rstrip()


def plan(seed: int, seconds: float, replicas: int, lease: float) -> list[Disturbance]:
    """Return what is done, in order.

    One replica at least is left alone at any time, where there are several. The database is
    restarted twice, after a third and after two thirds of the time.
    """
    rng = random.Random(f"{seed} disturbances")
    planned = [
        Disturbance(seconds * (number + 1) / 3, kind, -1, 0)
        for number, kind in enumerate(rng.sample(OF_DATABASE, 2))
    ]
    kinds = _shuffled(rng)
    free_at = [0.0] * replicas
    at = _BEFORE
    while at < seconds - _CALM:
        free = [number for number in range(replicas) if free_at[number] <= at]
        if len(free) > (1 if replicas > 1 else 0):
            one = _one(rng, at, next(kinds), rng.choice(free), lease)
            planned.append(one)
            free_at[one.target] = at + one.seconds + _RECOVERY
        at += rng.uniform(*_APART)
    return sorted(planned)


def _shuffled(rng: random.Random) -> Iterator[str]:
    """Yield all kinds in a random order, again and again: a short time has each of them too."""
    while True:
        yield from rng.sample(OF_REPLICAS, len(OF_REPLICAS))


def _one(rng: random.Random, at: float, kind: str, target: int, lease: float) -> Disturbance:
    beyond = lease + rng.uniform(1, 5)
    within = lease * rng.uniform(0.2, 0.8)
    if kind == STOP:
        return Disturbance(at, kind, target, beyond)
    if kind == KILL:
        return Disturbance(at, kind, target, rng.uniform(0, 3))
    if kind == TERM:
        return Disturbance(at, kind, target, 0)
    long = rng.choice([within, beyond])
    is_forgotten = rng.random() < 0.5
    if kind == ISOLATE:
        return Disturbance(at, kind, target, long, is_forgotten=is_forgotten)
    directions = rng.choice([("forth",), ("back",), ("forth", "back")])
    return Disturbance(at, kind, target, long, directions, is_forgotten)


def described(planned: Sequence[Disturbance]) -> str:
    """Return a plan as text."""
    return "\n".join(map(str, planned))
