"""Recordings: what it adds to a run that everything it says is kept, and how fast that is read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from typing_extensions import TypedDict

import millstream
from benchmarks.rows import (
    FLOOR,
    MILLSTREAM,
    Contender,
    Group,
    Kind,
    Row,
    added,
    at_least,
    ceiling,
)
from benchmarks.tokens import Typist
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.modes.encoders import encode_json
from millstream.stream.transformers import CustomTransformer

ADDED: Final = 2
"""Microseconds that a recorded event may add to its run, closing the file included."""
READ: Final = 5
"""Microseconds for an event of a replay: 200,000 in a second."""
SIZE: Final = 5
"""How many times as large as a recording the JSON of its events has to be."""


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
        *_rows("items of the writer", "custom", build(_write), count),
        *_rows("tokens of a model", "messages", build(talk), tokens),
    )
    return [Group("runs that are recorded; floor = a stream of the same that is not", rows)]


def _rows(what: str, mode: str, graph: Any, count: int) -> tuple[Row, ...]:
    given, title = {"count": count}, f"record {what}"
    file = io.BytesIO()
    graph.invoke(given, record=file)

    def checked(items: Iterable[Any]) -> None:
        found = sum(1 for _ in items)
        assert found >= count, f"{found} items instead of {count}"

    def record() -> None:
        checked(graph.stream(given, stream_mode=mode, record=io.BytesIO()))

    def plain() -> None:
        checked(graph.stream(given, stream_mode=mode))

    def replay() -> None:
        checked(millstream.replay(file).stream(stream_mode=mode))

    def run_stream() -> None:
        checked(millstream.replay(file).stream_events(transformers=[CustomTransformer]))

    def ratio(_: int) -> float:
        return _json_of(file, mode) / len(file.getvalue())

    recorded = (Contender(MILLSTREAM, record), Contender(FLOOR, plain))
    return (
        Row(title, "event", count, recorded, (added(title, ADDED),)),
        Row(f"replay {what}", "event", count, (Contender(MILLSTREAM, replay),), (ceiling(READ),)),
        Row(
            f"replay {what} in a run stream",
            "event",
            count,
            (Contender(MILLSTREAM, run_stream),),
            (ceiling(READ),),
        ),
        Row(
            f"JSON of {what} for a byte of the file",
            "byte",
            1,
            (Contender(MILLSTREAM, ratio, kind=Kind.GAUGE),),
            (at_least(SIZE, "bytes"),),
            measure="bytes",
            is_rate=True,
        ),
    )


def _json_of(file: io.BytesIO, mode: str) -> int:
    """Return how many bytes the events of a recording are as JSON, one in each line."""
    items = millstream.replay(file).stream(stream_mode=[mode])
    return sum(len(json.dumps(encode_json(((), *item, None)))) + 1 for item in items)
