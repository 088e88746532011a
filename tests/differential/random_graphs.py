"""Descriptions of random graphs, and how to build one on an engine.

Everything a node does follows from its description and the state it is given, so that one
description does the same on every engine, whatever the order its tasks finish in.
"""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from hypothesis import strategies as st
from typing_extensions import TypedDict

from differential.engines import Engine
from differential.kit import END, START, thread
from differential.registry import MODES, SAVED_MODES, Call, Matrix, Program, call

Targets = tuple[str, ...]
SEND = "send:"
PARENT = "parent"
DEEPEST_SEND = 2


class State(TypedDict, total=False):
    """Two reducers and a key that two writers of one superstep may not share."""

    log: Annotated[list[str], operator.add]
    total: Annotated[int, operator.add]
    last: str


@dataclass(frozen=True, slots=True)
class Node:
    """What one node does; `routes` are chosen among by the length of the log."""

    name: str
    milliseconds: int = 0
    is_async: bool = False
    is_deferred: bool = False
    is_failing: bool = False
    writes_last: bool = False
    edges: Targets = ()
    routes: tuple[Targets, ...] = ()
    commands: tuple[Targets, ...] = ()
    inner: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """One random graph and how it is called."""

    nodes: tuple[Node, ...]
    entries: Targets
    waiting: tuple[tuple[Targets, str], ...]
    limit: int
    is_saved: bool
    breakpoints: Targets


def _choose(options: Sequence[Targets], state: dict[str, Any]) -> Targets:
    return options[len(state.get("log", ())) % len(options)]


def _resolve(engine: Engine, targets: Targets, state: dict[str, Any]) -> list[Any]:
    """Turn names into goto targets; a Send goes no deeper than `DEEPEST_SEND`."""
    depth = state.get("depth", 0)
    resolved: list[Any] = []
    for index, target in enumerate(targets):
        if not target.startswith(SEND):
            resolved.append(target)
        elif depth < DEEPEST_SEND:
            argument = {"log": [f"{target}{index}"], "depth": depth + 1, "n": index}
            resolved.append(engine.types.Send(target.removeprefix(SEND), argument))
    return resolved


def _act(engine: Engine, node: Node, state: dict[str, Any]) -> Any:
    label = f"{node.name}{state.get('n', '')}"
    if node.is_failing:
        raise ValueError(f"{node.name} fails")
    update: dict[str, Any] = {"log": [label], "total": 1}
    if node.writes_last:
        update["last"] = label
    if not node.commands:
        return update
    targets = _choose(node.commands, state)
    if targets[:1] == (PARENT,):
        parent = engine.types.Command.PARENT
        goto = _resolve(engine, targets[1:], state)
        return engine.types.Command(graph=parent, update=update, goto=goto)
    return engine.types.Command(update=update, goto=_resolve(engine, targets, state))


def _action(engine: Engine, node: Node, driver: str) -> Any:
    label = node.name

    def run(state: State, *, writer) -> Any:
        writer({"by": f"{label}{state.get('n', '')}"})
        time.sleep(node.milliseconds / 1000)
        return _act(engine, node, dict(state))

    async def arun(state: State, *, writer) -> Any:
        writer({"by": f"{label}{state.get('n', '')}"})
        await asyncio.sleep(node.milliseconds / 1000)
        return _act(engine, node, dict(state))

    return arun if node.is_async and driver == "async" else run


def build(engine: Engine, graph: Graph, driver: str) -> tuple[Any, list[Call]]:
    """Compile the described graph and list the calls to make on it."""
    builder = engine.graph.StateGraph(State)
    for node in graph.nodes:
        action = _child(engine, node, driver) if node.inner else _action(engine, node, driver)
        builder.add_node(node.name, action, defer=node.is_deferred)
    for entry in graph.entries:
        builder.add_edge(START, entry)
    for node in graph.nodes:
        _connect(engine, builder, node)
    for sources, target in graph.waiting:
        builder.add_edge(list(sources), target)
    options: dict[str, Any] = {}
    if graph.is_saved:
        options = {"checkpointer": engine.saver(), "interrupt_before": list(graph.breakpoints)}
    return builder.compile(**options), _calls(graph)


def _calls(graph: Graph) -> list[Call]:
    first = {"log": ["in"], "total": 0}
    config = {"recursion_limit": graph.limit}
    if not graph.is_saved:
        return [call(first, config)]
    saved = {**thread(), **config}
    # What a failed superstep kept of the siblings is timing, so it is not continued.
    return [call(first, saved), call(first if _can_fail(graph.nodes) else None, saved)]


def _can_fail(nodes: Sequence[Node]) -> bool:
    return any(node.is_failing or _can_fail(node.inner) for node in nodes)


def _connect(engine: Engine, builder: Any, node: Node) -> None:
    for target in node.edges:
        builder.add_edge(node.name, target)
    if node.routes:

        def path(state: State, node: Node = node) -> Any:
            return _resolve(engine, _choose(node.routes, dict(state)), dict(state))

        builder.add_conditional_edges(node.name, path)


def _child(engine: Engine, node: Node, driver: str) -> Any:
    builder = engine.graph.StateGraph(State)
    for inner in node.inner:
        builder.add_node(inner.name, _action(engine, inner, driver))
    builder.add_edge(START, node.inner[0].name)
    for inner in node.inner:
        _connect(engine, builder, inner)
    return builder.compile()


def program(graph: Graph, driver: str) -> Program:
    """Return the program that runs `graph` with one driver."""
    return Program(
        name=f"random graph ({driver})",
        rows=(),
        build=lambda engine: build(engine, graph, driver),
        modes=SAVED_MODES if graph.is_saved else MODES,
        matrix=Matrix.TOGETHER,
        drivers=(driver,),
        unordered=True,
        logs=True,
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph of one to eight nodes, at most one of them a graph and one failing."""
    count = draw(st.integers(1, 8))
    names = draw(st.permutations("abcdefgh"[:count]))
    failing = draw(st.sampled_from([None, None, None, *names]))
    nested = draw(st.sampled_from([None, *names]))
    nodes = tuple(
        draw(_nodes(name, names, is_failing=name == failing, is_graph=name == nested))
        for name in names
    )
    waiting = draw(st.lists(_waiting(names), max_size=1 if count > 2 else 0))
    is_saved = draw(st.booleans())
    return Graph(
        nodes=_with_one_deferred(nodes),
        entries=draw(_some(names, 1, 2)),
        waiting=tuple(waiting),
        limit=draw(st.sampled_from([12, 6, 3])),
        is_saved=is_saved,
        breakpoints=draw(_some(names, 0, 1)) if is_saved else (),
    )


def _with_one_deferred(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the nodes with no more than one deferred, and none among Sends.

    Several are told apart otherwise there, and Sends are not waited for.
    """
    deferred = [node.name for node in nodes if node.is_deferred]
    if any(SEND in target for node in nodes for target in _targets(node)):
        deferred = []
    return tuple(replace(node, is_deferred=node.name in deferred[:1]) for node in nodes)


def _targets(node: Node) -> Iterator[str]:
    for targets in (*node.routes, *node.commands):
        yield from targets
    for inner in node.inner:
        yield from _targets(inner)


def _some(values: Sequence[str], low: int, high: int) -> st.SearchStrategy[Targets]:
    return st.lists(
        st.sampled_from(values), min_size=low, max_size=min(high, len(values)), unique=True
    ).map(tuple)


@st.composite
def _waiting(draw: st.DrawFn, names: Sequence[str]) -> tuple[Targets, str]:
    return draw(_some(names, 2, 3)), draw(st.sampled_from(names))


@st.composite
def _nodes(
    draw: st.DrawFn, name: str, names: Sequence[str], *, is_failing: bool, is_graph: bool
) -> Node:
    routing = draw(st.sampled_from(["edges", "edges", "routes", "commands", "edges and routes"]))
    reachable = [*names, END]
    sendable = [*(SEND + target for target in names), *reachable]
    options = st.lists(_some(sendable, 0, 2), min_size=1, max_size=3).map(tuple)
    inner = draw(_inner(name, names, is_failing=is_failing)) if is_graph else ()
    return Node(
        name=name,
        milliseconds=draw(st.integers(0, 2)),
        is_async=draw(st.booleans()),
        is_deferred=draw(st.sampled_from([False, False, False, True])),
        is_failing=is_failing and not inner,
        writes_last=draw(st.sampled_from([False] * 5 + [True])),
        edges=draw(_some(reachable, 0, 2)) if "edges" in routing else (),
        routes=draw(options) if "routes" in routing else (),
        commands=draw(options) if routing == "commands" and not inner else (),
        inner=inner,
    )


@st.composite
def _inner(
    draw: st.DrawFn, outer: str, names: Sequence[str], *, is_failing: bool
) -> tuple[Node, ...]:
    """Draw a chain of inner nodes; the first may fan out, the last may command the parent."""
    count = draw(st.integers(1, 3))
    labels = [f"{outer}{index}" for index in range(count)]
    parent = st.tuples(st.just((PARENT,)), _some([*names, END], 0, 2)).map(lambda p: p[0] + p[1])
    has_parent_command = draw(st.booleans())
    fans_out = not has_parent_command and count == 3 and draw(st.booleans())
    nodes = []
    for index, label in enumerate(labels):
        following = labels[1:] if fans_out and index == 0 else labels[index + 1 : index + 2]
        is_last = index == count - 1
        nodes.append(
            Node(
                name=label,
                milliseconds=draw(st.integers(0, 1)),
                is_async=draw(st.booleans()),
                is_failing=is_failing and is_last,
                edges=() if fans_out and index else tuple(following),
                commands=(draw(parent),) if has_parent_command and is_last else (),
            )
        )
    return tuple(nodes)
