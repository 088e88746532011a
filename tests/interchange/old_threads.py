"""Threads as older versions of LangGraph left them, and the program that recorded them.

`python old_threads.py old_rows/NAME.sql.gz` stores them, in an environment with an old langgraph
and the langgraph-checkpoint-sqlite of its time. Each thread is left where something waits to run.
"""

from __future__ import annotations

import contextlib
import gzip
import operator
import pathlib
import sqlite3
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from typing_extensions import TypedDict


class Log(TypedDict, total=False):
    """A number, and a list that every node appends its name to."""

    x: int
    log: Annotated[list[Any], operator.add]


def say(name: str) -> Callable[[Any], Any]:
    """Return a node that logs its name."""
    return lambda state: {"log": [name]}


def to_b(state: Any) -> str:
    """Lead to the node `b`."""
    return "b"


class Programs:
    """The graphs, on one engine: what its `graph` and `types` have."""

    def __init__(self, graph: Any, types: Any, *, is_fixed: bool = True) -> None:
        self.engine = graph
        self.types = types
        self.is_fixed = is_fixed

    def build(self, edges: str, *branches: Any, **options: Any) -> Callable[[Any], Any]:
        """Return what makes a graph of edges such as "START>a a>b a+b>c", for a saver."""
        nodes = options.pop("nodes", {})

        def make(saver: Any) -> Any:
            builder = self._wired(edges, branches, nodes)
            return builder.compile(checkpointer=saver, **options)

        return make

    def _wired(self, edges: str, branches: Iterable[Any], nodes: dict[str, Any]) -> Any:
        builder = self.engine.StateGraph(Log)
        pairs = [edge.split(">") for edge in edges.split()]
        targets = {end for _, end in pairs}
        for _, _, ends in branches:
            targets |= set(ends)
        for name in sorted(targets):
            builder.add_node(name, nodes.get(name) or say(name))
        for start, end in pairs:
            if "+" in start:
                builder.add_edge(start.split("+"), end)
            else:
                builder.add_edge(self._name(start), end)
        for start, path, ends in branches:
            builder.add_conditional_edges(self._name(start), path, ends)
        return builder

    def _name(self, name: str) -> str:
        return "__start__" if name == "START" else name

    def fail(self, state: Any) -> Any:
        """Fail until it is mended."""
        if not self.is_fixed:
            raise ValueError("broken")
        return {"log": ["bad"]}

    def ask(self, state: Any) -> Any:
        """Ask, and log the answer."""
        return {"log": [self.types.interrupt("?")]}

    def sends(self, state: Any) -> list[Any]:
        """Lead to the node `w` twice."""
        return [self.types.Send("w", {"x": 1}), self.types.Send("w", {"x": 2})]

    def both(self, state: Any) -> list[Any]:
        """Lead to a node in either way."""
        return ["b", self.types.Send("w", {"x": 3})]

    def all(self) -> dict[str, Callable[[Any], Any]]:
        """Return what makes each graph, by the name of its thread."""
        build, work = self.build, {"w": lambda state: {"log": [f"w{state['x']}"]}}
        before_b: dict[str, Any] = {"interrupt_before": ["b"]}
        before_w: dict[str, Any] = {"interrupt_before": ["w"], "nodes": work}
        bad = {"bad": self.fail}
        graphs = {
            "edge": build("START>a a>b b>c", **before_b),
            "start": build("START>a a>b", interrupt_before=["a"]),
            "branch": build("START>a b>c", ("a", to_b, ["b", "c"]), **before_b),
            "first_branch": build("b>c", ("START", to_b, ["b", "c"]), **before_b),
            "joined": build("START>a START>b a+b>c", interrupt_before=["c"]),
            "half_joined": build("START>a START>m m>b a+b>c", **before_b),
            "sends": build("START>a w>z", ("a", self.sends, ["w"]), **before_w),
            "both": build("START>a w>z b>z", ("a", self.both, ["w", "b"]), **before_w),
            "after": build("START>a a>b", interrupt_after=["a"]),
            "done": build("START>a a>b"),
            "fails": build("START>a a>good a>bad good>z bad>z", nodes=bad),
            "fails_joined": build("START>good START>bad good+bad>z", nodes=bad),
            "fails_branch": build("START>good START>bad b>z", ("good", to_b, ["b"]), nodes=bad),
        }
        if hasattr(self.types, "interrupt"):
            asking = {"ask": self.ask}
            inner = build("START>i i>ask", nodes=asking)(None)
            graphs |= {
                "asks": build("START>a a>ask ask>z", nodes=asking),
                "asks_beside": build("START>good START>ask good>z ask>z", nodes=asking),
                "asks_twice": build("START>a w>z", ("a", self.sends, ["w"]), nodes={"w": self.ask}),
                "asks_inside": build("START>a a>sub", nodes={"sub": inner}),
            }
        return graphs


def thread(name: str) -> Any:
    """Return the config of a recorded thread."""
    return {"configurable": {"thread_id": name, "checkpoint_ns": ""}}


def rows(name: str) -> sqlite3.Connection:
    """Return a database with the rows of a recording."""
    path = pathlib.Path(__file__).parent / "old_rows" / f"{name}.sql.gz"
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(gzip.decompress(path.read_bytes()).decode())
    return connection


def record(path: str) -> None:
    """Run every graph as far as it goes and keep what was stored."""
    import langgraph.graph
    from langgraph.checkpoint.sqlite import SqliteSaver

    try:
        import langgraph.types as types
    except ImportError:
        import langgraph.constants as types
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    saver = SqliteSaver(connection)
    for name, make in Programs(langgraph.graph, types, is_fixed=False).all().items():
        with contextlib.suppress(ValueError, KeyError):  # the latter is a fault of 0.2.0
            make(saver).invoke({"x": 1, "log": []}, thread(name))
    sql = "\n".join(connection.iterdump())
    pathlib.Path(path).write_bytes(gzip.compress(sql.encode(), mtime=0))


if __name__ == "__main__":
    record(sys.argv[1])
