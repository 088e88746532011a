"""Draw a compiled graph by walking it the way a run would, without calling any node.

A node is drawn where it can be reached: each superstep, the nodes that "ran" write every channel
they could write, and the channels that become readable show which nodes run next. Joins and
deferred nodes therefore get their edges only when a run could get past them.

Deliberate oddities, kept because drawings are compared and snapshotted:

1. A static edge to END is not drawn as such; every node that is reached and leads nowhere is.
2. If nothing leads to END, a dashed edge to it starts at the node that ran last, when that is one.
3. Conditional targets are followed the first time a node runs, static ones every time.
4. Of several edges between two nodes one is kept: a static one, else the smallest label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from millstream._base.runnable import RunnableCallable
from millstream.constants import END, SIGNAL_PREFIX, START
from millstream.pictures import DrawableGraph
from millstream.typing import ConfigLike

# A static loop never ends by itself. Where there are more nodes, each of a chain gets its step.
STEP_LIMIT: Final = 251


class DrawnNode(Protocol):
    """What drawing needs to know of one node of a `Pregel` graph."""

    @property
    def bound(self) -> Any:
        """The runnable shown as the node's data."""

    @property
    def triggers(self) -> Sequence[str]:
        """The channels that start the node."""

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """What the user attached to the node."""

    @property
    def write_targets(self) -> Sequence[str]:
        """Every channel the node's static writers write; read only where there is no builder."""


class DrawnGraph(Protocol):
    """What drawing needs to know of a compiled graph; `builder` is looked up when there is one."""

    @property
    def nodes(self) -> Mapping[str, Any]: ...
    @property
    def channels(self) -> Mapping[str, Any]: ...
    @property
    def input_channels(self) -> str | Sequence[str]: ...
    @property
    def interrupt_before_nodes(self) -> Sequence[str]: ...
    @property
    def interrupt_after_nodes(self) -> Sequence[str]: ...
    def get_subgraphs(self) -> Iterator[tuple[str, Any]]: ...


class _Edge(NamedTuple):
    source: str
    target: str
    conditional: bool = False
    label: str | None = None


class _Write(NamedTuple):
    channel: str
    conditional: bool = False
    label: str | None = None


@dataclass(slots=True)
class _Plan:
    """Who writes what and who is started by it."""

    entry: list[str]
    writes: dict[str, list[_Write]] = field(default_factory=dict)
    triggers: dict[str, list[str]] = field(default_factory=dict)
    subscribers: dict[str, list[str]] = field(default_factory=dict)
    joins: dict[str, frozenset[str]] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    has_start_node: bool = True


def draw_graph(
    graph: DrawnGraph, *, xray: bool | int = False, config: ConfigLike | None = None
) -> DrawableGraph:
    """Return the drawable form of a compiled graph.

    `xray` opens subgraphs: `True` at every level, a number down to that depth. A subgraph without
    a single first and a single last node stays closed.
    """
    builder = getattr(graph, "builder", None)
    plan = _raw_plan(graph) if builder is None else _builder_plan(graph, builder)
    edges, last = _walk(plan)
    drawn = _assemble(graph, plan, edges, last)
    if xray:
        _open_subgraphs(graph, drawn, xray, config)
    return drawn


def _builder_plan(graph: DrawnGraph, builder: Any) -> _Plan:
    plan = _Plan(entry=[START])
    plan.data[START] = RunnableCallable(_same, name=START, trace=False)
    plan.writes = {name: [] for name in (START, *builder.nodes)}
    for name, spec in builder.nodes.items():
        node = graph.nodes.get(name)
        plan.data[name] = spec.runnable if node is None else node.bound
        plan.metadata[name] = dict(spec.metadata or {})
        _subscribe(plan, name, _branch_channel(name))
        if spec.defer:
            plan.metadata[name]["defer"] = True
            plan.deferred.add(_branch_channel(name))
    for source, target in builder.edges:
        if target != END:
            plan.writes[source].append(_Write(_branch_channel(target)))
    for sources, target in builder.waiting_edges:
        _add_join(plan, sources, target, deferred=target != END and builder.nodes[target].defer)
    for source in plan.writes:
        plan.writes[source] += _conditional_writes(source, builder)
    return plan


def _same(value: Any) -> Any:
    return value


def _branch_channel(target: str) -> str:
    return END if target == END else SIGNAL_PREFIX + target


def _subscribe(plan: _Plan, node: str, channel: str) -> None:
    plan.subscribers.setdefault(channel, []).append(node)
    plan.triggers.setdefault(node, []).append(channel)


def _add_join(plan: _Plan, sources: Sequence[str], target: str, *, deferred: bool) -> None:
    if target == END:
        return
    channel = f"join:{'+'.join(sources)}:{target}"
    plan.joins[channel] = frozenset(sources)
    _subscribe(plan, target, channel)
    if deferred:
        plan.deferred.add(channel)
    for source in plan.joins[channel]:
        plan.writes[source].append(_Write(channel))


def _conditional_writes(source: str, builder: Any) -> Iterator[_Write]:
    if source in builder.nodes:
        ends = builder.nodes[source].ends or ()
        labels = ends if isinstance(ends, Mapping) else dict.fromkeys(ends)
        for target, label in labels.items():
            yield _Write(_branch_channel(target), True, label)
        if handler := builder.nodes[source].error_handler_node:
            yield _Write(_branch_channel(handler), True)
    for branch in builder.branches.get(source, {}).values():
        if branch.ends is None:
            # Nobody says where it leads, so it may lead anywhere.
            for target in (*_targets(builder), END):
                yield _Write(_branch_channel(target), True)
        for key, target in (branch.ends or {}).items():
            yield _Write(_branch_channel(target), True, str(key))


def _targets(builder: Any) -> Iterator[str]:
    return (
        name for name, spec in builder.nodes.items() if not getattr(spec, "is_error_handler", False)
    )


def _raw_plan(graph: DrawnGraph) -> _Plan:
    inputs = graph.input_channels
    entry_channels = {inputs} if isinstance(inputs, str) else set(inputs)
    plan = _Plan(entry=[], has_start_node=False)
    for name, node in graph.nodes.items():
        plan.data[name] = node.bound
        plan.metadata[name] = dict(node.metadata or {})
        plan.writes[name] = [_Write(channel) for channel in node.write_targets]
        for channel in node.triggers:
            _subscribe(plan, name, channel)
        if not entry_channels.isdisjoint(node.triggers):
            plan.entry.append(name)
    for channel in plan.subscribers:
        cell = graph.channels.get(channel)
        if hasattr(cell, "names"):
            # Which node writes which name is known at run time only: wait for all writers.
            plan.joins[channel] = frozenset(
                name for name, writes in plan.writes.items() if _Write(channel) in writes
            )
        if hasattr(cell, "finished"):
            plan.deferred.add(channel)
    return plan


def _walk(plan: _Plan) -> tuple[set[_Edge], list[str]]:
    """Return every edge a run can take and the nodes that ran in the last superstep."""
    edges: set[_Edge] = set()
    written: dict[str, dict[str, set[_Write]]] = {}
    pending: dict[str, set[str]] = {}
    visited: set[str] = set()
    running, last = plan.entry, plan.entry
    for _ in range(max(STEP_LIMIT, len(plan.writes) + 1)):
        last = running
        for node in running:
            for write in _writes(plan, node, first_visit=node not in visited):
                if write.conditional and write.channel == END:
                    edges.add(_Edge(node, END, write.conditional, write.label))
                elif write.channel in plan.subscribers:
                    written.setdefault(write.channel, {}).setdefault(node, set()).add(write)
                    pending.setdefault(write.channel, set()).add(node)
            visited.add(node)
        fired = _fired(plan, pending)
        running = list(dict.fromkeys(node for c in fired for node in plan.subscribers[c]))
        for target in running:
            edges.update(_incoming(plan, written, target))
        for channel in fired:
            del pending[channel]
        if not running:
            break
    return edges, last


def _writes(plan: _Plan, node: str, *, first_visit: bool) -> Iterable[_Write]:
    # A conditional edge is followed once, or a walk around a circle would not end.
    return [write for write in plan.writes[node] if first_visit or not write.conditional]


def _fired(plan: _Plan, pending: Mapping[str, set[str]]) -> list[str]:
    ready = [c for c, sources in pending.items() if plan.joins.get(c, frozenset()) <= sources]
    # Deferred nodes wait until nothing else is due, as in a run.
    return [channel for channel in ready if channel not in plan.deferred] or ready


def _incoming(
    plan: _Plan, written: Mapping[str, dict[str, set[_Write]]], target: str
) -> Iterator[_Edge]:
    # A half full join counts too: what it has received is shown once its node runs at all.
    sources = [item for c in plan.triggers[target] for item in written.get(c, {}).items()]
    for source, writes in sources:
        for write in writes:
            yield _Edge(source, target, write.conditional, write.label)


def _assemble(graph: DrawnGraph, plan: _Plan, edges: set[_Edge], last: list[str]) -> DrawableGraph:
    drawn = DrawableGraph()
    for name, data in plan.data.items():
        metadata = plan.metadata.get(name, {})
        pauses = [
            when
            for when, names in (
                ("before", graph.interrupt_before_nodes),
                ("after", graph.interrupt_after_nodes),
            )
            if name in names
        ]
        if pauses:
            metadata["__interrupt"] = ",".join(pauses)
        tools = getattr(data, "tools_by_name", None)
        if tools:
            metadata["__tools"] = list(tools)
        drawn.add_node(data, name, metadata=metadata or None)
    chosen = _one_edge_per_pair(edges)
    if not plan.has_start_node and START not in drawn.nodes:
        drawn.add_node(None, START)
        chosen = [_Edge(START, name) for name in sorted(plan.entry)] + chosen
    chosen += _end_edges(edges, last)
    if any(edge.target == END for edge in chosen):
        drawn.add_node(None, END)
    for edge in chosen:
        label = None if edge.label == edge.target else edge.label
        drawn.add_edge(drawn.nodes[edge.source], drawn.nodes[edge.target], label, edge.conditional)
    return drawn


def _one_edge_per_pair(edges: set[_Edge]) -> list[_Edge]:
    # Of several edges between two nodes one is drawn, an unconditional one first.
    kept: dict[tuple[str, str], _Edge] = {}
    for edge in sorted(edges, key=lambda e: (*e[:3], e.label is None, e.label or "")):
        kept.setdefault((edge.source, edge.target), edge)
    return list(kept.values())


def _end_edges(edges: set[_Edge], last: list[str]) -> list[_Edge]:
    sources = {edge.source for edge in edges}
    targets = {edge.target for edge in edges}
    leaves = sorted(targets - sources - {END})
    # A circle that nobody says how to leave: the run may end where it was last.
    if not leaves and END not in targets and len(last) == 1:
        return [_Edge(last[0], END, conditional=True)]
    return [_Edge(leaf, END) for leaf in leaves]


def _open_subgraphs(
    graph: DrawnGraph, drawn: DrawableGraph, xray: bool | int, config: ConfigLike | None
) -> None:
    depth = xray if isinstance(xray, bool) else xray - 1
    for name, subgraph in graph.get_subgraphs():
        inner = subgraph.get_graph(config, xray=depth)
        inner.trim_first_node()
        inner.trim_last_node()
        first, last = inner.first_node(), inner.last_node()
        if name not in drawn.nodes or first is None or last is None:
            continue
        del drawn.nodes[name]
        drawn.edges = [
            edge.copy(
                source=f"{name}:{last.id}" if edge.source == name else edge.source,
                target=f"{name}:{first.id}" if edge.target == name else edge.target,
            )
            for edge in drawn.edges
        ]
        drawn.extend(inner, prefix=name)
