"""What was declared for a graph: in the form in which the rest takes it, and whether it fits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import RESERVED, SIGNAL_PREFIX, START, TASKS
from millstream.managed.base import is_managed_value
from millstream.types import RetryPolicy

if TYPE_CHECKING:
    from millstream.channels.base import BaseChannel
    from millstream.pregel._structure.nodes import PregelNode

INTERNAL_PREFIXES: Final = (SIGNAL_PREFIX, "join:")


def as_policies(policy: RetryPolicy | Sequence[RetryPolicy] | None) -> tuple[RetryPolicy, ...]:
    """Return retry policies as a tuple; a single one is itself a tuple of numbers."""
    if policy is None:
        return ()
    policies = (policy,) if isinstance(policy, RetryPolicy) else tuple(policy)
    for each in policies:
        # Not by its class: LangGraph has one of the same name.
        if not hasattr(each, "max_attempts"):
            raise TypeError(
                "A retry policy is RetryPolicy(max_attempts=3), for example, or a sequence of "
                f"them; got {type(policy).__name__} {policy!r:.200}"
            )
    return policies


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
        for channel in (*node.triggers, *as_list(node.channels)):
            if channel not in channels:
                raise _unknown_channel(channel, channels, f"Node {name} reads channel")
    _check_inputs(nodes, channels, input_channels)
    for channel in (*as_list(output_channels), *as_list(stream_channels or ())):
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
    for channel in as_list(inputs):
        if channel not in channels:
            raise _unknown_channel(channel, channels, "Input channel")
    if not subscribed.isdisjoint(as_list(inputs)):
        return
    if isinstance(inputs, str):
        raise ValueError(f"Input channel {inputs} is not subscribed to by any node")
    raise ValueError(f"None of the input channels {list(inputs)} are subscribed to by any node")


def _unknown_channel(channel: str, channels: Mapping[str, Any], what: str) -> ValueError:
    return ValueError(f"{what} '{channel}' not in known channels: '{sorted(channels)}'")


def as_list(names: str | Sequence[str]) -> Sequence[str]:
    """Return the name of one channel, or of several, as a sequence."""
    return (names,) if isinstance(names, str) else names
