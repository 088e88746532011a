"""Apache Burr: actions and transitions; an application is used again rather than built anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from burr.core import Application, ApplicationBuilder, State, action

from benchmarks.engines.serving import serve


@action(reads=["n"], writes=["n"])
def count(state: State) -> State:
    """Count."""
    return state.update(n=state["n"] + 1)


@action(reads=["n"], writes=["n"])
async def acount(state: State) -> State:
    """Count, as a coroutine."""
    return state.update(n=state["n"] + 1)


def build(length: int, step: Any) -> tuple[Application[Any], str]:
    """Build a chain; return it with the name of its last action."""
    names = [f"n{index}" for index in range(length)]
    builder = ApplicationBuilder().with_actions(**dict.fromkeys(names, step))
    builder = builder.with_transitions(*pairwise(names))
    return builder.with_entrypoint(names[0]).with_state(n=0).build(), names[-1]


def restart(application: Application[Any]) -> None:
    """Go back to the first action."""
    application.update_state(State({"n": 0}))
    application.reset_to_entrypoint()


def check(application: Application[Any], seen: int, length: int) -> None:
    """Compare what a run did with what it had to do."""
    assert seen == length, f"{seen} steps instead of {length}"
    assert application.state["n"] == length, f"{application.state['n']} instead of {length}"


def chain(length: int) -> Callable[[], None]:
    """Count in a chain of actions."""
    application, last = build(length, count)

    def run() -> None:
        restart(application)
        check(application, sum(1 for _ in application.iterate(halt_after=[last])), length)

    return run


def achain(length: int) -> Callable[[], Awaitable[None]]:
    """Count in a chain of async actions."""
    application, last = build(length, acount)

    async def run() -> None:
        restart(application)
        seen = 0
        async for _ in application.aiterate(halt_after=[last]):
            seen += 1
        check(application, seen, length)

    return run


if __name__ == "__main__":
    serve({"chain": chain, "achain": achain})
