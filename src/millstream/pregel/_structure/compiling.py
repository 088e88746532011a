"""From declared nodes and channels to the compiled graph the engine runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream._base.runnable import runs_in_thread
from millstream.channels.delta import DeltaChannel
from millstream.channels.ephemeral_value import EphemeralValue
from millstream.constants import SIGNAL_PREFIX, START
from millstream.core.spec import GraphSpec, NodeSpec, Read, of_class
from millstream.core.tasks import reader
from millstream.drivers.nodecall import Call, NodeCall, sync_timeout_error
from millstream.pregel._structure.declared import as_list, as_policies, split_channels, visible
from millstream.pregel._structure.nodes import is_passthrough
from millstream.saving.message_ids import writer_with_message_ids

if TYPE_CHECKING:
    from millstream.channels.base import BaseChannel
    from millstream.pregel._structure.nodes import PregelNode
    from millstream.types import CachePolicy, RetryPolicy


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
    read = set[str]().union(*{tuple(as_list(node.channels)) for node in nodes.values()})
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
