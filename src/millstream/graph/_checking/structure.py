"""The parts of a graph: what is declared, and what its code shows beside that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from millstream._base.runnable import coerce_to_runnable, functions_called
from millstream.constants import END, ROOT, START
from millstream.graph._builder.node_spec import declarations
from millstream.graph._checking.findings import Place
from millstream.graph._checking.reading import (
    Called,
    Read,
    Reader,
    Reading,
    conditions,
    functions_of,
)
from millstream.graph._checking.results import Result, Route
from millstream.pregel.protocol import PregelProtocol


@dataclass(slots=True)
class Node:
    """A node, and what its functions show: two if it has a sync and an async one."""

    name: str
    runnable: Any
    readings: list[Reading]
    ends: tuple[str, ...] = ()
    """The nodes that it is declared to lead to by commands."""
    input_schema: Any = None
    handler: str | None = None
    defer: bool = False
    cache_policy: Any = None
    nested: Structure | None = None

    @property
    def place(self) -> Place | None:
        """Where its function begins."""
        places = (reading.place for reading in self.readings)
        return next((place for place in places if place is not None), None)

    @property
    def is_seen(self) -> bool:
        """Whether all that it may return shows."""
        return bool(self.readings) and all(reading.is_seen for reading in self.readings)

    @property
    def results(self) -> list[tuple[Reading, Result]]:
        """What it may return."""
        return [(reading, result) for reading in self.readings for result in reading.results]

    @property
    def reads(self) -> list[tuple[Reading, Read]]:
        """What it reads of the state."""
        return [(reading, read) for reading in self.readings for read in reading.reads]

    @property
    def interrupts(self) -> list[Called]:
        """Where it asks something."""
        return [call for reading in self.readings for call in reading.interrupts]

    @property
    def is_async_only(self) -> bool:
        """Whether sync runs cannot call it."""
        func, afunc = functions_called(self.runnable)
        return afunc is not None and func is None

    @property
    def may_stop(self) -> bool:
        """Whether it may end a run, as far as anybody knows."""
        return not self.is_seen or any(reading.may_stop for reading in self.readings)


@dataclass(slots=True)
class Path:
    """A conditional edge."""

    source: str
    name: str
    reading: Reading
    ends: Mapping[Any, str] | None
    input_schema: Any

    @property
    def routes(self) -> list[Route]:
        """The nodes that its answers are seen to name."""
        return list(conditions(self.reading.answers, self.ends))

    @property
    def targets(self) -> set[Any]:
        """The nodes that it may lead to, as far as declared or seen."""
        declared = set() if self.ends is None else set(self.ends.values())
        return declared | {route.target for route in self.routes}

    @property
    def is_open(self) -> bool:
        """Whether it may lead to other nodes, too."""
        if self._shows_all:
            return False
        return self.ends is None or self.reading.mentions_commands

    @property
    def is_doubtful(self) -> bool:
        """Whether it may send to nodes that are not seen, or that variables name.

        A path map is for answers: it does not keep what is sent from going anywhere.
        """
        answers = self.reading.answers
        unmapped = answers if self.ends is None else [each for each in answers if each.is_send]
        return not self._shows_all or not all(each.is_fixed for each in unmapped)

    @property
    def _shows_all(self) -> bool:
        return self.reading.is_seen and self.reading.are_answers_all


@dataclass(slots=True)
class Onwards:
    """Where a run goes after a node."""

    static: list[str] = field(default_factory=list)
    """Nodes that come next in any case."""
    joins: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    """Nodes that come when others are through as well."""
    choices: set[Any] = field(default_factory=set)
    """Nodes that paths and commands may lead to."""
    on_failure: set[Any] = field(default_factory=set)
    """Nodes that come when it has failed."""
    is_open: bool = False
    """Paths or commands lead where nobody declared."""
    is_doubtful: bool = False
    """It cannot be seen whether it returns commands, or they name variables, or come from a graph
    that it calls; or a path may send to nodes that are not seen."""

    @property
    def targets(self) -> set[Any]:
        """All nodes that may come next, those of joins aside."""
        return {*self.static, *self.choices, *self.on_failure}


@dataclass(slots=True)
class Structure:
    """What there is to check of a graph."""

    graph: Any
    builder: Any
    """None for graphs that were not made by a `StateGraph`."""
    nodes: dict[str, Node]
    paths: dict[str, list[Path]]
    onwards: dict[str, Onwards]

    @property
    def keys(self) -> Collection[str]:
        """The names that an update may use, or a node read."""
        builder = self.builder
        # LangGraph's own builders know no other names.
        aliases: Collection[str] = getattr(builder, "aliases", ())
        return {*builder.channels, *builder.managed, *aliases}

    @property
    def has_keys(self) -> bool:
        """Whether the state consists of keys, and is not one value."""
        return self.builder is not None and ROOT not in self.builder.channels

    def keys_of(self, schema: Any) -> Collection[str]:
        """Return the keys that a state class shows."""
        keys: Collection[str] = self.builder.schemas.get(schema, self.keys)
        return keys


def structure_of(graph: Any, reader: Reader) -> Structure:
    """Return the parts of a compiled graph."""
    builder = getattr(graph, "builder", None)
    if builder is None or not hasattr(builder, "waiting_edges"):
        nodes = {name: _node(name, node.bound, reader) for name, node in graph.nodes.items()}
        return Structure(graph, None, nodes, {}, {})
    return builder_structure(graph, builder, reader)


def builder_structure(graph: Any, builder: Any, reader: Reader) -> Structure:
    """Return the parts of a graph as its builder has them."""
    nodes = {
        name: _node(
            name,
            spec.runnable,
            reader,
            ends=tuple(spec.ends or ()),
            input_schema=spec.input_schema,
            handler=getattr(spec, "error_handler_node", None),
            defer=spec.defer,
            cache_policy=spec.cache_policy,
        )
        for name, spec in builder.nodes.items()
    }
    paths = {
        source: [_path(source, name, branch, builder, reader) for name, branch in found.items()]
        for source, found in builder.branches.items()
    }
    onwards = {name: _onwards(nodes.get(name), paths.get(name, [])) for name in (START, *nodes)}
    _note_default_handler(builder, onwards, reader)
    for start, end in sorted(builder.edges):
        onwards[start].static.append(end)
    for starts, end in sorted(builder.waiting_edges):
        for start in dict.fromkeys(starts):
            onwards[start].joins.append((starts, end))
    return Structure(graph, builder, nodes, paths, onwards)


def _note_default_handler(builder: Any, onwards: Mapping[str, Onwards], reader: Reader) -> None:
    """Note where the handler of all nodes without one may lead after any of them."""
    action = getattr(getattr(builder, "_node_defaults", None), "error_handler", None)
    if action is None:
        return
    runnable = coerce_to_runnable(action, name="handler", trace=False)
    node = _node("handler", runnable, reader, ends=declarations(action)[1])
    after = _onwards(node, [])
    for each in onwards.values():
        each.on_failure |= after.choices
        each.is_open = each.is_open or after.is_open
        each.is_doubtful = each.is_doubtful or after.is_doubtful


def _node(name: str, runnable: Any, reader: Reader, **declared: Any) -> Node:
    readings = [reader.reading(function) for function in functions_of(runnable)]
    is_graph = isinstance(runnable, PregelProtocol) or hasattr(runnable, "get_subgraphs")
    nested = structure_of(runnable, reader) if is_graph and hasattr(runnable, "nodes") else None
    return Node(name, runnable, readings, nested=nested, **declared)


def _path(source: str, name: str, branch: Any, builder: Any, reader: Reader) -> Path:
    functions = functions_of(branch.path)
    reading = reader.reading(functions[0] if functions else branch.path)
    return Path(source, name, reading, branch.ends, branch.input_schema)


def _onwards(node: Node | None, paths: list[Path]) -> Onwards:
    onwards = Onwards()
    for path in paths:
        onwards.choices |= path.targets
        onwards.is_open = onwards.is_open or path.is_open
        onwards.is_doubtful = onwards.is_doubtful or path.is_doubtful
    if node is None:
        return onwards
    onwards.choices |= {*node.ends}
    if node.handler is not None:
        onwards.on_failure.add(node.handler)
    routes = [route for _, result in node.results for route in result.routes]
    onwards.choices |= {route.target for route in routes}
    if not all(route.is_fixed for route in routes):
        onwards.is_doubtful = True
    if any(reading.may_call_graphs for reading in node.readings):
        onwards.is_doubtful = True
    if node.nested is not None:
        _note_nested(node.nested, onwards)
    elif not node.is_seen or _leads_elsewhere(node):
        is_open = any(reading.mentions_commands for reading in node.readings)
        onwards.is_open = onwards.is_open or (is_open and not node.ends)
        # What is declared is for drawings: commands may go elsewhere all the same.
        onwards.is_doubtful = True
    return onwards


def _leads_elsewhere(node: Node) -> bool:
    return any(result.leads_elsewhere for _, result in node.results)


def _note_nested(nested: Structure, onwards: Onwards) -> None:
    """Note where commands of a nested graph's nodes lead in the graph around it."""
    for node in nested.nodes.values():
        for _, result in node.results:
            onwards.choices |= {route.target for route in result.parent_routes}
            onwards.is_open = onwards.is_open or (result.leaves and not result.is_whole)
        if not node.is_seen or _leads_elsewhere(node):
            onwards.is_doubtful = True
        if node.nested is not None:
            onwards.is_doubtful = True


def is_named(name: str) -> bool:
    """Say whether a node is one of the program's, and not made by the library."""
    return not name.startswith("__") and name not in (START, END)
