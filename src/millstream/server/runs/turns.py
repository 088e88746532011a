"""Which of the runs that want nothing but a slot begins next. No I/O.

A run is in the queue when its time has come and nothing else of its thread goes on or is there
before it: of each thread there is one at most. In the queue it has a priority and a turn. In each
turn an owner has one run, so that those with many runs and those with few go by turns, and nobody
waits for all that somebody else has asked for.

Of the priorities the most urgent one is next. One in which runs wait and none has begun for some
time counts as more and more urgent, until one of its runs begins: then it counts as what it is. So
every run begins at some time, and of thousands that nobody is in a hurry for only one now and then
comes before what is urgent, however long they have waited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

MOST_URGENT: Final = -5
LEAST_URGENT: Final = 5
PATIENCE: Final = 60.0
"""After how many seconds a priority whose runs wait counts as the next more urgent one."""
GOES_ON: Final = 0
"""The turn of a run that has begun before and was stopped: in front of all that have not."""
NOBODY: Final = ""
"""Whose runs those are that are asked for by nobody in particular."""


class Waiting(NamedTuple):
    """A run in the queue."""

    run_id: str
    turn: int
    since: float
    """When it could have begun, had there been a slot and nothing else of its thread."""


class Settings(NamedTuple):
    """What is said of the runs of a thread."""

    priority: int = 0
    group: str | None = None
    """Whose they are, instead of who asks for them."""
    is_kept: bool = True
    """It is said once and for all."""


def standing(settings: Settings | None, wished: int | None, owner: str) -> tuple[int, str]:
    """Return the priority and the owner of a run, whose `owner` has `wished` for a priority.

    Where there are settings for its thread it can be less urgent than these, and not more.
    """
    if settings is None:
        return wished or 0, owner
    priority = settings.priority if wished is None else max(wished, settings.priority)
    return priority, owner if settings.group is None else owner_of(f"group {settings.group}")


def owner_of(name: str | None) -> str:
    """Return whose a run is, by who asks for it.

    It only has to tell owners apart, and is of one length and no secret where all else is sealed.
    """
    return (
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if name
        else NOBODY
    )


def turn_of(first: int | None, own: int | None) -> int:
    """Return the turn of a run that enters the queue.

    `first` is the first turn that runs of its priority wait for, `own` the last one that its owner
    has among them; None where there is no such run. Who comes anew has the turn after the first:
    those who wait for that one already are not put back by however many come.
    """
    return max(first or GOES_ON, own or GOES_ON) + 1


def urgency(priority: int, since: float, begun: float | None, now: float) -> float:
    """Return what a priority counts as; the lowest is next.

    `since` is from when the next of its runs waits, `begun` when one of its runs began last.
    """
    waits = now - (since if begun is None else max(since, begun))
    return priority - max(0.0, waits) / PATIENCE


def choose(
    queues: Mapping[int, Sequence[Waiting]], begun: Mapping[int, float], now: float, limit: int
) -> list[Waiting]:
    """Return the runs that begin now, at most `limit`.

    `queues` has by priority the first that wait, as many as there may be chosen, in the order of
    their turns; `begun` when a run of each priority began last.
    """
    chosen: list[Waiting] = []
    begun = dict(begun)
    left = {priority: list(reversed(queue)) for priority, queue in queues.items() if queue}
    while left and len(chosen) < limit:

        def place(priority: int) -> tuple[bool, float, int]:
            first = left[priority][-1]
            counts_as = urgency(priority, first.since, begun.get(priority), now)
            return first.turn != GOES_ON, counts_as, priority

        priority = min(left, key=place)
        chosen.append(left[priority].pop())
        begun[priority] = now
        if not left[priority]:
            del left[priority]
    return chosen
