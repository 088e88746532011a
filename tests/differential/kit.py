"""Short ways to write small graphs, shared by the programs."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Annotated, Any

from typing_extensions import TypedDict

from differential.engines import Engine

START, END = "__start__", "__end__"


class Log(TypedDict, total=False):
    """A number, and a list that every node appends its name to."""

    x: int
    log: Annotated[list[Any], operator.add]


def say(name: str, **update: Any) -> Callable[[Any], dict[str, Any]]:
    """Return a node that logs `name` and writes `update`."""

    def node(state: Any) -> dict[str, Any]:
        return {"log": [name], **update}

    return node


def asay(name: str, **update: Any) -> Callable[[Any], Any]:
    """Return an async node that logs `name` and writes `update`."""

    async def node(state: Any) -> dict[str, Any]:
        return {"log": [name], **update}

    return node


def fail(error: BaseException) -> Callable[[Any], Any]:
    """Return a node that raises `error`."""

    def node(state: Any) -> None:
        # A fresh object each time: notes and tracebacks stick to a raised exception.
        raise type(error)(*error.args)

    return node


def wire(engine: Engine, schema: Any, *paths: str, **nodes: Any) -> Any:
    """Return a builder with `nodes` and the edges of `paths` such as "START a b END".

    A node is an action, or `(action, add_node keywords)`; "..." logs the node's own name.
    """
    builder = engine.graph.StateGraph(schema)
    add_nodes(builder, **nodes)
    add_paths(builder, *paths)
    return builder


def add_nodes(builder: Any, **nodes: Any) -> None:
    """Add nodes by keyword, see `wire`."""
    for name, node in nodes.items():
        action, options = node if isinstance(node, tuple) else (node, {})
        builder.add_node(name, say(name) if action is ... else action, **options)


def add_paths(builder: Any, *paths: str) -> None:
    """Add the edges of each path, see `wire`."""
    ends = {"START": START, "END": END}
    for path in paths:
        names = [ends.get(name, name) for name in path.split()]
        for source, target in itertools.pairwise(names):
            builder.add_edge(source, target)


def thread(name: str = "1", **configurable: Any) -> dict[str, Any]:
    """Return a config that names a thread."""
    return {"configurable": {"thread_id": name, **configurable}}
