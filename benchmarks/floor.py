"""The least such work can cost: hand-written loops doing the same calls and the same merges.

They know nothing of events, retries or anything else an engine gives. Their cost says how fast
the machine is at the moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

State = dict[str, Any]
Node: TypeAlias = "Callable[[State], State]"
AsyncNode: TypeAlias = "Callable[[State], Coroutine[Any, Any, State]]"


def chain(nodes: list[tuple[str, Node]]) -> Callable[[], None]:
    """Return a call that runs the nodes one after the other and keeps every update."""

    def run() -> None:
        state: State = {"n": 0}
        updates: list[dict[str, State]] = []
        for name, node in nodes:
            update = node(state)
            state = {**state, **update}
            updates.append({name: update})
        assert state["n"] == len(updates)

    return run


def achain(nodes: list[tuple[str, AsyncNode]]) -> Callable[[], Awaitable[None]]:
    """Return the async twin of `chain`, which awaits each node in place."""

    async def run() -> None:
        state: State = {"n": 0}
        updates: list[dict[str, State]] = []
        for name, node in nodes:
            update = await node(state)
            state = {**state, **update}
            updates.append({name: update})
        assert state["n"] == len(updates)

    return run


def achain_of_tasks(nodes: list[tuple[str, AsyncNode]]) -> Callable[[], Awaitable[None]]:
    """Return as `achain`, with an asyncio task for each node: others get their turns."""

    async def run() -> None:
        state: State = {"n": 0}
        updates: list[dict[str, State]] = []
        for name, node in nodes:
            update = await asyncio.create_task(node(state))
            state = {**state, **update}
            updates.append({name: update})
        assert state["n"] == len(updates)

    return run
