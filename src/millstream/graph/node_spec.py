"""Nodes of a state graph as they were declared, and what their signatures say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from langchain_core.runnables import Runnable
from typing_extensions import get_type_hints

from millstream.types import Command

if TYPE_CHECKING:
    from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy, TracePolicy


@dataclass(slots=True)
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


@dataclass(slots=True)
class NodeDefaults:
    """What nodes get that do not say otherwise."""

    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None
    cache_policy: CachePolicy[Any] | None = None
    error_handler: Any = None
    timeout: TimeoutPolicy | None = None


def command_ends(func: Any) -> tuple[str, ...]:
    """Return the nodes named by a `Command[Literal[...]]` return annotation."""
    target = func if hasattr(func, "__annotations__") else getattr(func, "__call__", func)  # noqa: B004
    try:
        returned = get_type_hints(target).get("return")
    except (NameError, TypeError):
        return ()
    for candidate in (returned, *get_args(returned)):
        origin: Any = get_origin(candidate)
        if origin is Command:
            for argument in get_args(candidate):
                if get_origin(argument) is Literal:
                    return tuple(get_args(argument))
    return ()
