"""Nodes and edges of a builder as channels and writes: the parts of a compiled state graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream._base.runnable import coerce_to_runnable
from millstream._base.state_classes import maker_of
from millstream.channels.ephemeral_value import EphemeralValue
from millstream.channels.last_value import LastValueAfterFinish
from millstream.channels.named_barrier_value import (
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
)
from millstream.channels.topic import Topic
from millstream.constants import END, ROOT, START, TASKS
from millstream.drivers.nodecall import BranchCall, Call
from millstream.drivers.routes import Routes
from millstream.graph._builder.deferred_order import predecessors
from millstream.graph._builder.first_input import first_writes
from millstream.graph._builder.messages import giver_of_ids
from millstream.graph._builder.node_results import (
    branch_channel,
    branch_write,
    join_channel,
    result_writers,
)
from millstream.graph._builder.node_spec import NodeDefaults, StateNodeSpec, may_lead_anywhere
from millstream.graph._builder.state_channels import other_names
from millstream.pregel._structure.declared import as_policies
from millstream.pregel._structure.nodes import PregelNode
from millstream.pregel.protocol import PregelProtocol
from millstream.types import Send

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.drivers.executor import Executor
    from millstream.graph._builder.branches import BranchSpec


@dataclass(slots=True, eq=False)
class _NodeInput:
    """How nodes see the state that have the same state class."""

    channels: str | list[str]
    mapper: Callable[[Any], Any] | None
    """Makes an instance of the state class, None for plain dicts."""

    @classmethod
    def of(cls, schema: Any, keys: list[str]) -> _NodeInput:
        """Return what a state class with these keys shows."""
        if keys == [ROOT]:
            return cls(ROOT, None)
        return cls(keys, maker_of(schema))


class Assembly:
    """A compiled graph in the making."""

    def __init__(self, builder: Any, defaults: NodeDefaults) -> None:
        self._builder = builder
        self._defaults = defaults
        self._edges = _static_writes(builder.edges, builder.waiting_edges)
        self._node_inputs: dict[Any, _NodeInput] = {}
        # One for all nodes: what it does depends on the channels alone.
        self._prepare = giver_of_ids(builder.channels)
        self.nodes: dict[str, PregelNode] = {}
        self._signals: dict[str, Write] = {}
        self._signal: EphemeralValue[Any] = EphemeralValue(Any, guard=False)
        """What all signals are before a run copies them."""
        # Filled as nodes are added, so that an edge may lead to one that is added later.
        self._routes = Routes(self._signals)
        keys = frozenset(builder.channels)
        self._aliases = other_names(builder)
        self._writer = result_writers(
            list(builder.channels),
            self._routes,
            prepare=self._prepare,
            aliases=self._aliases,
        )
        # A state of one bare value is written by any result, not by keys.
        self._dict_keys = None if ROOT in keys else keys
        self._keys = tuple(sorted(keys))
        self.channels: dict[str, Any] = {
            **builder.channels,
            **builder.managed,
            # The input is there for the superstep that takes it into the state.
            START: EphemeralValue(builder.input_schema),
            TASKS: Topic(Send, accumulate=False),
        }

    def add_start(self) -> None:
        """Add the hidden node that writes the input to the state."""
        keys = [
            key
            for key in self._builder.schemas[self._builder.input_schema]
            if key in self._builder.channels
        ]
        self.nodes[START] = PregelNode(
            channels=START,
            triggers=[START],
            to_writes=result_writers(keys, self._routes, aliases=self._aliases)(
                START, self._edges.get(START, ())
            ),
            first_writes=first_writes(self._builder.channels),
            branches=self._branches(START, self._builder.state_schema),
            tags=["langsmith:hidden"],
        )

    def add_node(self, name: str, spec: StateNodeSpec) -> None:
        """Add a node with the channel that triggers it."""
        channel = branch_channel(name)
        self._signals[name] = (channel, None)
        self.channels[channel] = LastValueAfterFinish(Any) if spec.defer else self._signal
        defaults = self._defaults
        # What a handler made of one failure is nothing to keep for the next.
        cache_policy = None if spec.is_error_handler else defaults.cache_policy
        node_input = self._node_input(spec.input_schema)
        self.nodes[name] = PregelNode(
            channels=node_input.channels,
            # A list, because edges that wait for several nodes add theirs to it.
            triggers=[channel],
            bound=spec.runnable,
            mapper=node_input.mapper,
            to_writes=self._writer(name, self._edges.get(name, ())),
            outputs=self._keys,
            keys=self._dict_keys,
            prepare=self._prepare,
            edges=self._edges.get(name, ()),
            branches=self._branches(name, spec.input_schema),
            retry_policy=as_policies(spec.retry_policy or defaults.retry_policy) or None,
            cache_policy=spec.cache_policy or cache_policy,
            timeout=spec.timeout or defaults.timeout,
            trace_policy=spec.trace_policy,
            executor=self._executor_of(spec),
            metadata=spec.metadata,
            is_error_handler=spec.is_error_handler,
            error_handler_node=spec.error_handler_node,
        )

    def _executor_of(self, spec: StateNodeSpec) -> Executor | None:
        """Return where a node runs: by default where the graph says, but for nested graphs.

        Those run here, and their nodes where they say.
        """
        if spec.executor is not None or isinstance(spec.runnable, PregelProtocol):
            return spec.executor
        return self._defaults.executor

    def add_default_handler(self, name: str) -> dict[str, str]:
        """Add the handler of all nodes without one, and return who uses it."""
        users = {
            node: name
            for node, spec in self._builder.nodes.items()
            if not spec.is_error_handler and spec.error_handler_node is None
        }
        action = self._defaults.error_handler
        self.add_node(
            name,
            StateNodeSpec(
                runnable=coerce_to_runnable(action, name=name, trace=False),
                metadata=None,
                input_schema=self._builder.state_schema,
                retry_policy=None,
                cache_policy=None,
                is_error_handler=True,
            ),
        )
        return users

    def add_joins(self) -> None:
        """Add the channels of edges that wait for several nodes."""
        for starts, end in sorted(self._builder.waiting_edges):
            # An edge that waits before END has nobody to trigger.
            if end in self._builder.nodes:
                channel = join_channel(starts, end)
                is_deferred = self._builder.nodes[end].defer
                barrier = NamedBarrierValueAfterFinish if is_deferred else NamedBarrierValue
                self.channels[channel] = barrier(str, set(starts))
                self.nodes[end].triggers.append(channel)

    def order_deferred(self) -> None:
        """Have deferred nodes wait for those that may lead to them."""
        specs: Mapping[str, StateNodeSpec] = self._builder.nodes
        deferred = [name for name, spec in specs.items() if spec.defer]
        # A single one waits for all there is, which its channel sees to.
        if len(deferred) < 2:
            return
        branches: Mapping[str, Mapping[str, BranchSpec]] = self._builder.branches
        ends: dict[str, set[str]] = {name: set() for name in (START, *specs)}
        for start, end in self._builder.edges:
            ends[start].add(end)
        for starts, end in self._builder.waiting_edges:
            for start in starts:
                ends[start].add(end)
        for name, spec in specs.items():
            ends[name] |= {*spec.ends, spec.error_handler_node or END}
        for name, paths in branches.items():
            ends[name].update(*((path.ends or {}).values() for path in paths.values()))
        # In the order in which nodes were added, because the way of walking decides where a circle
        # is cut.
        edges = {name: [end for end in specs if end in ends[name]] for name in ends}
        # Paths without a map and results that are commands: nobody declares where these lead.
        unsure = [
            name
            for name, paths in branches.items()
            if any(path.ends is None for path in paths.values())
        ]
        unsure += [
            name
            for name, spec in specs.items()
            if not spec.ends and may_lead_anywhere(spec.runnable)
        ]
        for name, others in predecessors(deferred, edges, unsure).items():
            self.nodes[name].after = others

    def _node_input(self, schema: Any) -> _NodeInput:
        node_input = self._node_inputs.get(schema)
        if node_input is None:
            node_input = self._node_inputs[schema] = _NodeInput.of(
                schema, list(self._builder.schemas[schema])
            )
        return node_input

    def _branches(self, name: str, schema: Any) -> Sequence[BranchCall]:
        branches: Mapping[str, BranchSpec] | None = self._builder.branches.get(name)
        if not branches:
            return ()
        # The node's own writes, and each edge, count as a step each; the start has nothing else.
        first = (1 if name == START else 2) + len(self._edges.get(name, ()))
        return [
            self._branch(name, branch, schema, place)
            for place, branch in enumerate(branches.values(), first)
        ]

    def _branch(self, source: str, branch: BranchSpec, schema: Any, place: int) -> BranchCall:
        node_input = self._node_input(branch.input_schema or schema)
        return BranchCall(
            call=Call(branch.path, branch.path.name or "condition", is_path=True),
            read=_state_reader(node_input),
            ends=branch.ends,
            is_passthrough=branch.input_schema is None,
            routes=self._routes,
            source=source,
            place=place,
            run_name=branch.run_name,
        )


def _static_writes(
    edges: Iterable[tuple[str, str]], waiting_edges: Iterable[tuple[tuple[str, ...], str]]
) -> dict[str, list[Write]]:
    """Return what each node writes to follow its static edges."""
    writes: dict[str, list[Write]] = {}
    ends: dict[str, list[str]] = {}
    for start, end in edges:
        if end != END:
            ends.setdefault(start, []).append(end)
    for start, targets in ends.items():
        writes[start] = [branch_write(end) for end in sorted(targets)]
    for starts, end in sorted(waiting_edges):
        if end != END:
            # A start that is named twice has one write, of which the barrier wants one.
            for start in dict.fromkeys(starts):
                writes.setdefault(start, []).append((join_channel(starts, end), start))
    return writes


def _state_reader(node_input: _NodeInput) -> Callable[[dict[str, Any]], Any]:
    """Return the function that picks what a conditional edge's path is given."""
    if node_input.channels == ROOT:
        return lambda values: values.get(ROOT)
    wanted, mapper = tuple(node_input.channels), node_input.mapper

    def read(values: dict[str, Any]) -> Any:
        picked = {key: values[key] for key in wanted if key in values}
        return picked if mapper is None else mapper(picked)

    return read
