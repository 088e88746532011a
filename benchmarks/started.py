"""Runs that were started: what an event costs that a handle's reader takes from the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from typing_extensions import TypedDict

from benchmarks.peers import word
from benchmarks.rows import FLOOR, MILLSTREAM, Call, Contender, Group, Row, added
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph

ADDED: Final = 10
"""Microseconds that the log and its reader, in another thread or task, may add to an item."""


class State(TypedDict, total=False):
    count: int


def build(*, is_async: bool) -> Any:
    """Compile a node that writes items as fast as it can."""

    def write(state: State) -> None:
        writer = get_stream_writer()
        for number in range(state["count"]):
            writer(number)

    async def awrite(state: State) -> None:
        write(state)

    builder = StateGraph(State).add_node("write", awrite if is_async else write)
    return builder.add_edge(START, "write").compile()


def groups(count: int = 10_000) -> list[Group]:
    """Return the groups of this area."""
    rows = tuple(_row(count, is_async=is_async) for is_async in (False, True))
    return [Group("events of a run that was started; floor = a plain stream of the same", rows)]


def _row(count: int, *, is_async: bool) -> Row:
    graph, title = build(is_async=is_async), f"handle.events(), {word(is_async)}"
    started, plain = _asynchronous(graph, count) if is_async else _synchronous(graph, count)
    contenders = (Contender(MILLSTREAM, started), Contender(FLOOR, plain))
    return Row(title, "event", count, contenders, (added(title, ADDED),))


def _synchronous(graph: Any, count: int) -> tuple[Callable[[], None], Callable[[], None]]:
    def started() -> None:
        with graph.start({"count": count}, stream_mode="custom") as run:
            found = sum(1 for _ in run.events())
        assert found == count, f"{found} events instead of {count}"

    def plain() -> None:
        found = sum(1 for _ in graph.stream({"count": count}, stream_mode="custom"))
        assert found == count, f"{found} items instead of {count}"

    return started, plain


def _asynchronous(graph: Any, count: int) -> tuple[Call, Call]:
    async def started() -> None:
        found = 0
        async with await graph.astart({"count": count}, stream_mode="custom") as run:
            async for _ in run.events():
                found += 1
        assert found == count, f"{found} events instead of {count}"

    async def plain() -> None:
        found = 0
        async for _ in graph.astream({"count": count}, stream_mode="custom"):
            found += 1
        assert found == count, f"{found} items instead of {count}"

    return started, plain
