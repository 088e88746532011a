"""Carrying out what steps ask of a storage, for whoever blocks and whoever awaits.

What awaits is a coroutine. With `Blocking` it never suspends, so `finish` carries it out in one go.
Storing has a loop of its own for whoever blocks: a coroutine for every request costs a superstep
more than what it asks for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from millstream.journal.damage import DamagedRow
from millstream.journal.reading import Requests
from millstream.journal.rows import Request

if TYPE_CHECKING:
    from millstream.journal.storage import Storage

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

_TRIES: Final = 3
"""How often a read is begun again when what it reads was thrown away meanwhile."""

Ask = Callable[[Request], Awaitable[Any]]
"""What has a request answered."""


class Blocking:
    """Has requests answered in this thread."""

    __slots__ = ("_may_wait", "_storage")

    def __init__(self, storage: Storage, *, may_wait: bool = True) -> None:
        self._storage = storage
        self._may_wait = may_wait

    async def __call__(self, request: Request) -> Any:
        """Return the answer, which is there."""
        return self._storage.carry_out(request, may_wait=self._may_wait)


async def carry_out(steps: Requests[ResultT], ask: Ask) -> ResultT:
    """Carry out what steps ask for, and return their result; errors are raised in the steps."""
    go_on: Callable[[Any], Request] = steps.send
    answer: Any = None
    while True:
        try:
            request = go_on(answer)
        except StopIteration as end:
            result: ResultT = end.value
            return result
        go_on = steps.send
        try:
            answer = await ask(request)
        except Exception as error:
            go_on, answer = steps.throw, error


def carry_out_here(steps: Requests[ResultT], storage: Storage, *, may_wait: bool = True) -> ResultT:
    """Do what `carry_out` does, in this thread."""
    go_on: Callable[[Any], Request] = steps.send
    answer: Any = None
    while True:
        try:
            request = go_on(answer)
        except StopIteration as end:
            result: ResultT = end.value
            return result
        go_on = steps.send
        try:
            answer = storage.carry_out(request, may_wait=may_wait)
        except Exception as error:
            go_on, answer = steps.throw, error


async def read(make: Callable[[], Requests[ResultT]], ask: Ask) -> ResultT:
    """Carry out what a read asks for, again if it has met rows that are being thrown away."""
    for _ in range(_TRIES - 1):
        with suppress(DamagedRow):
            return await carry_out(make(), ask)
    return await carry_out(make(), ask)


def finish(
    work: Callable[P, Coroutine[Any, Any, ResultT]], *args: P.args, **kwargs: P.kwargs
) -> ResultT:
    """Carry out a coroutine that waits by blocking.

    It is made here: one that is made before is complained of when Ctrl-C comes at the call.
    """
    try:
        work(*args, **kwargs).send(None)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    raise RuntimeError("what was to block waits for an event loop")
