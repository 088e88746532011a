"""Recordings: what it adds to a run that everything it says is kept, and how fast that is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

from typing_extensions import TypedDict

import millstream
from benchmarks.rows import FLOOR, MILLSTREAM, Contender, Group, Row, added, ceiling
from benchmarks.tokens import Typist
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph

ADDED: Final = 2
"""Microseconds that a recorded item may add to its run, closing the file included."""
READ: Final = 5
"""Microseconds for an event of a replay: 200,000 in a second."""


class State(TypedDict, total=False):
    count: int


def build(write: Callable[[State], None]) -> Any:
    """Compile a node that says something."""
    return StateGraph(State).add_node("write", write).add_edge(START, "write").compile()


def _write(state: State) -> None:
    writer = get_stream_writer()
    for number in range(state["count"]):
        writer({"number": number, "text": "as it was told"})


def groups(count: int = 100_000, tokens: int = 10_000) -> list[Group]:
    """Return the groups of this area."""

    def talk(state: State) -> None:
        for _ in Typist(count=state["count"]).stream("go"):
            pass

    rows = (
        *_rows("items of the writer", "custom", build(_write), count, READ),
        *_rows("tokens of a model", "messages", build(talk), tokens, None),
    )
    return [Group("runs that are recorded; floor = a stream of the same that is not", rows)]


def _rows(what: str, mode: str, graph: Any, count: int, most: float | None) -> tuple[Row, Row]:
    given, title = {"count": count}, f"record {what}"
    file = io.BytesIO()
    graph.invoke(given, record=file)

    def record() -> None:
        found = sum(1 for _ in graph.stream(given, stream_mode=mode, record=io.BytesIO()))
        assert found >= count, f"{found} items instead of {count}"

    def plain() -> None:
        found = sum(1 for _ in graph.stream(given, stream_mode=mode))
        assert found >= count, f"{found} items instead of {count}"

    def replay() -> None:
        found = sum(1 for _ in millstream.replay(file).stream(stream_mode=mode))
        assert found >= count, f"{found} items instead of {count}"

    recorded = (Contender(MILLSTREAM, record), Contender(FLOOR, plain))
    goals = () if most is None else (added(title, ADDED),)
    shown = () if most is None else (ceiling(most),)
    return (
        Row(title, "event", count, recorded, goals),
        Row(f"replay {what}", "event", count, (Contender(MILLSTREAM, replay),), shown),
    )
