"""From declared nodes and channels to the compiled graph the engine runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from millstream._base.runnable import runs_in_thread
from millstream.channels.base import BaseChannel
from millstream.channels.delta import DeltaChannel
from millstream.channels.ephemeral_value import EphemeralValue
from millstream.constants import RESERVED, SIGNAL_PREFIX, START, TASKS
from millstream.core.spec import GraphSpec, NodeSpec, Read, of_class
from millstream.core.tasks import reader
from millstream.drivers.nodecall import Call, NodeCall, sync_timeout_error
from millstream.managed.base import is_managed_value
from millstream.pregel._structure.nodes import PregelNode, is_passthrough
from millstream.saving.message_ids import writer_with_message_ids
from millstream.types import CachePolicy, RetryPolicy

INTERNAL_PREFIXES: Final = (SIGNAL_PREFIX, "join:")


def as_policies(policy: RetryPolicy | Sequence[RetryPolicy] | None) -> tuple[RetryPolicy, ...]:
    """Return retry policies as a tuple; a single one is itself a tuple of numbers."""
    if policy is None:
        return ()
    return (policy,) if isinstance(policy, RetryPolicy) else tuple(policy)


def breakpoint_names(names: str | Sequence[str] | None) -> str | list[str]:
    """Return breakpoints as a list of names, or `"*"` for all nodes."""
    if isinstance(names, str):
        return "*" if names == "*" else [names]
    return list(names or ())


def split_channels(
    channels: Mapping[str, Any],
) -> tuple[dict[str, BaseChannel[Any, Any, Any]], dict[str, Any]]:
    """Separate real channels from values that are computed from the run."""
    managed = {name: c for name, c in channels.items() if is_managed_value(c)}
    real = {name: c for name, c in channels.items() if name not in managed}
    return real, managed


def visible(channels: Collection[str]) -> tuple[str, ...]:
    """Return the channels that hold state, in their order."""
    return tuple(
        name
        for name in channels
        if name not in (START, TASKS) and not name.startswith(INTERNAL_PREFIXES)
    )


def compile_graph(
    *,
    nodes: Mapping[str, PregelNode],
    channels: Mapping[str, Any],
    output_keys: str | Sequence[str],
    stream_keys: str | Sequence[str],
    retry: Sequence[RetryPolicy],
    cache: CachePolicy[Any] | None,
    handlers: Mapping[str, str],
    aliases: Mapping[str, str],
) -> GraphSpec:
    """Compute everything about a graph that can be known before it runs."""
    real, managed = split_channels(channels)
    deltas = frozenset(of_class(real, DeltaChannel))
    shown = {name: index for index, name in enumerate(visible(real))}
    policies = tuple(retry)
    readers: dict[Any, Read] = {}
    specs = {}
    for name, node in nodes.items():
        keys = node.channels if isinstance(node.channels, str) else tuple(node.channels)
        # Nodes with the same state class read the state alike.
        read = readers.get((keys, node.mapper))
        if read is None:
            read = reader(keys, shown=shown, managed=managed, coerce=node.mapper)
            readers[keys, node.mapper] = read
        # One for each node and graph, shared by all runs: nothing of it may change.
        specs[name] = NodeSpec(
            name=name,
            triggers=tuple(sorted(node.triggers)),
            read=read,
            body=_node_call(name, node, policies, cache, deltas),
            handler=node.error_handler_node or handlers.get(name),
            is_hidden=name == START,
            has_subgraph=bool(node.subgraphs),
            keys=_dict_keys(node, deltas),
            prepare=node.prepare,
            edges=node.edges,
        )
    spec = GraphSpec(
        nodes=specs,
        channels=real,
        shown=shown,
        output_keys=output_keys if isinstance(output_keys, str) else tuple(output_keys),
        stream_keys=stream_keys if isinstance(stream_keys, str) else tuple(stream_keys),
        managed=managed,
        signals=_signals(real, nodes),
        behind=_behind(nodes),
        aliases=aliases,
    )
    entries = spec.triggered.get(START, ())
    # Where the superstep that takes in the input does no more than that, it can be left out: see
    # `Run`.
    if len(entries) == 1 and spec.is_steady and entries[0].is_hidden:
        body: NodeCall = entries[0].body
        spec.entry = entries[0] if body.is_relay and entries[0].handler is None else None
    return spec


def _dict_keys(node: PregelNode, deltas: frozenset[str]) -> frozenset[str] | None:
    """Return the channels that a result of the node may write as it is, if it is a dict.

    Messages for delta channels need ids, and the path of a conditional edge sees the writes.
    """
    if node.keys is None or node.branches:
        return None
    return node.keys - deltas if deltas else node.keys


def _signals(
    channels: Mapping[str, BaseChannel[Any, Any, Any]], nodes: Mapping[str, PregelNode]
) -> frozenset[str]:
    """Return the channels that only trigger nodes: unguarded, for one step, read by nobody."""
    read = set[str]().union(*{tuple(_as_list(node.channels)) for node in nodes.values()})
    return frozenset(
        name
        for name, channel in channels.items()
        # Not a subclass, whose methods would not be called.
        if type(channel) is EphemeralValue
        and not channel.guard
        and name.startswith(SIGNAL_PREFIX)
        and name not in read
    )


def _behind(nodes: Mapping[str, PregelNode]) -> dict[str, frozenset[str]]:
    """Return, for the triggers of deferred nodes, the triggers of those that go first."""
    return {
        trigger: frozenset(t for other in node.after for t in nodes[other].triggers)
        for node in nodes.values()
        if node.after is not None
        for trigger in node.triggers
    }


def _node_call(
    name: str,
    node: PregelNode,
    retry: tuple[RetryPolicy, ...],
    cache: CachePolicy[Any] | None,
    deltas: frozenset[str],
) -> NodeCall:
    if node.timeout is not None and runs_in_thread(node.bound):
        raise sync_timeout_error(name)
    entering, executor = node.first_writes, node.executor
    # Where the driver is, nodes run without one.
    if executor is not None and executor.is_inline:
        executor = None
    if executor is not None:
        # Now, and not when the node first runs: in the middle of a run nobody can do anything about
        # it.
        executor.check(name, node.bound)
    return NodeCall(
        call=Call(node.bound, name),
        to_writes=writer_with_message_ids(node.to_writes, deltas),
        branches=tuple(node.branches),
        retry=as_policies(node.retry_policy) or retry,
        timeout=node.timeout,
        cache=node.cache_policy or cache,
        tags=tuple(node.tags or ()),
        metadata=node.metadata,
        # What only passes its input on is of no interest.
        is_traced=not is_passthrough(node.bound) or bool(node.branches),
        trace_policy=node.trace_policy,
        first_writes=None if entering is None else writer_with_message_ids(entering, deltas),
        outputs=node.outputs,
        executor=executor,
        runnable=None if executor is None else node.bound,
    )


def validate_graph(
    nodes: Mapping[str, PregelNode],
    channels: Mapping[str, Any],
    input_channels: str | Sequence[str],
    output_channels: str | Sequence[str],
    stream_channels: str | Sequence[str] | None,
    interrupts: Sequence[str | Sequence[str]],
) -> None:
    """Refuse a graph whose parts do not fit together, naming the part."""
    for name in channels:
        # Here and for nodes: names under which tasks write for the record, and would be taken for
        # it.
        if name in RESERVED and name != TASKS:
            raise ValueError(f"Channel name '{name}' is reserved")
    for name, node in nodes.items():
        if name in RESERVED and name != START:
            raise ValueError(f"Node name '{name}' is reserved")
        for channel in (*node.triggers, *_as_list(node.channels)):
            if channel not in channels:
                raise _unknown_channel(channel, channels, f"Node {name} reads channel")
    _check_inputs(nodes, channels, input_channels)
    for channel in (*_as_list(output_channels), *_as_list(stream_channels or ())):
        if channel not in channels:
            raise _unknown_channel(channel, channels, "Output channel")
    for names in interrupts:
        for name in () if names == "*" else names:
            if name not in nodes:
                raise ValueError(f"Node {name} not in nodes")


def _check_inputs(
    nodes: Mapping[str, PregelNode], channels: Mapping[str, Any], inputs: str | Sequence[str]
) -> None:
    subscribed = {trigger for node in nodes.values() for trigger in node.triggers}
    for channel in _as_list(inputs):
        if channel not in channels:
            raise _unknown_channel(channel, channels, "Input channel")
    if not subscribed.isdisjoint(_as_list(inputs)):
        return
    if isinstance(inputs, str):
        raise ValueError(f"Input channel {inputs} is not subscribed to by any node")
    raise ValueError(f"None of the input channels {list(inputs)} are subscribed to by any node")


def _unknown_channel(channel: str, channels: Mapping[str, Any], what: str) -> ValueError:
    return ValueError(f"{what} '{channel}' not in known channels: '{sorted(channels)}'")


def _as_list(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names
