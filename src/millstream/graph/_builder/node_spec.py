"""Nodes of a state graph as they were declared, and what their signatures say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from langchain_core.runnables import Runnable

from millstream._base.runnable import plain_code
from millstream._base.texts import counted
from millstream.graph._builder.state_channels import (
    annotated_function,
    function_hints,
    input_annotation,
    state_class,
)
from millstream.pregel._structure.nodes import name_of

if TYPE_CHECKING:
    from millstream.drivers.executor import Executor
    from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy, TracePolicy


@dataclass(slots=True, repr=False)
class StateNodeSpec:
    """One node of a state graph."""

    runnable: Runnable[Any, Any]
    metadata: dict[str, Any] | None
    input_schema: Any
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None
    cache_policy: CachePolicy[Any] | None
    is_error_handler: bool = False
    error_handler_node: str | None = None
    ends: tuple[str, ...] | Mapping[str, str] = ()
    """Nodes a `Command` of this node may go to; for drawings."""
    defer: bool = False
    timeout: TimeoutPolicy | None = None
    trace_policy: TracePolicy | None = None
    executor: Executor | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        reads = getattr(self.input_schema, "__name__", None) or "the state"
        deferred = ", deferred" if self.defer else ""
        return f"<StateNodeSpec of {name_of(self.runnable)}: reads {reads}{deferred}>"


@dataclass(slots=True)
class NodeDefaults:
    """What nodes get that do not say otherwise."""

    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None
    cache_policy: CachePolicy[Any] | None = None
    error_handler: Any = None
    timeout: TimeoutPolicy | None = None
    executor: Executor | None = None


def size_of(builder: Any) -> str:
    """Return how many nodes and edges a builder has, in words."""
    nodes = [spec for spec in builder.nodes.values() if not spec.is_error_handler]
    edges = len(builder.edges) + sum(len(sources) for sources, _ in builder.waiting_edges)
    words = [counted(len(nodes), "node"), counted(edges, "edge")]
    if decisions := sum(map(len, builder.branches.values())):
        words.append(counted(decisions, "conditional edge"))
    return ", ".join(words)


def declarations(func: Any) -> tuple[Any, tuple[str, ...]]:
    """Return what a node's signature says: its state class, and where its commands may go.

    The state class is the annotation of its first parameter, None when that is no state class;
    the nodes are named by a `Command[Literal[...]]` return annotation.
    """
    code = plain_code(func)
    if code is None or not code.co_argcount:
        return input_annotation(func), _command_ends(_hints(annotated_function(func)))
    hints = _hints(func)
    return state_class(hints.get(code.co_varnames[0])), _command_ends(hints)


def may_lead_anywhere(action: Any) -> bool:
    """Say whether a node may return commands of which nothing says where they go."""
    called = getattr(action, "func", None) or getattr(action, "afunc", None) or action
    func = annotated_function(called)
    hints = _hints(func)
    if "return" in hints:
        returned = hints["return"]
        return any(_is_command(one) for one in (returned, *get_args(returned)))
    code = plain_code(func)
    # Without an annotation: whoever returns commands mentions the class.
    return code is not None and "Command" in code.co_names


def _hints(func: Any) -> dict[str, Any]:
    try:
        return function_hints(func)
    except (NameError, TypeError):
        return {}


def _command_ends(hints: Mapping[str, Any]) -> tuple[str, ...]:
    returned = hints.get("return")
    if returned is None or issubclass(type(returned), type):
        return ()
    named = [
        name
        for candidate in (returned, *get_args(returned))
        if _is_command(candidate)
        for argument in get_args(candidate)
        if get_origin(argument) is Literal
        for name in get_args(argument)
    ]
    return tuple(dict.fromkeys(named))


def _is_command(hint: Any) -> bool:
    from millstream.types import Command

    return hint is Command or get_origin(hint) is Command
