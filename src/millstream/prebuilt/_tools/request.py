"""One tool call on its way to the tool: what wrappers see and change."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypedDict

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from typing_extensions import Unpack

from millstream.prebuilt._tools.injection import ToolRuntime
from millstream.types import Command


class _ToolCallRequestOverrides(TypedDict, total=False):
    tool_call: ToolCall
    tool: BaseTool | None
    state: Any
    runtime: ToolRuntime[Any, Any]


@dataclass
class ToolCallRequest:
    """One call a model asked for, as a `wrap_tool_call` function gets it.

    Assigning to a field is deprecated: `override` makes a changed copy.
    """

    tool_call: ToolCall
    """Name, arguments as the model gave them, and id."""
    tool: BaseTool | None
    """The tool to call; None when the node has none of that name."""
    state: Any
    """The input of the node."""
    runtime: ToolRuntime[Any, Any]
    """What the tool may be given; injected state is taken from here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            warnings.warn(
                f"Setting attribute '{name}' on ToolCallRequest is deprecated. "
                "Use the override() method instead to create a new instance with modified values.",
                DeprecationWarning,
                stacklevel=2,
            )
        object.__setattr__(self, name, value)

    def override(self, **overrides: Unpack[_ToolCallRequestOverrides]) -> ToolCallRequest:
        """Return a copy with some fields replaced."""
        return replace(self, **overrides)


class ToolCallWithContext(TypedDict):
    """An input of a `ToolNode` that is one call with the state it is made in, for a `Send`."""

    tool_call: ToolCall
    __type: Literal["tool_call_with_context"]
    state: Any


ToolCallWrapper: TypeAlias = Callable[
    [ToolCallRequest, Callable[[ToolCallRequest], ToolMessage | Command[Any]]],
    ToolMessage | Command[Any],
]
"""Stands around each call: gets the request and a function that carries it out, once or often."""
AsyncToolCallWrapper: TypeAlias = Callable[
    [ToolCallRequest, Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]],
    Awaitable[ToolMessage | Command[Any]],
]
"""`ToolCallWrapper` for async runs."""


def names_of(calls: Sequence[ToolCall]) -> list[str]:
    """Return what tells calls from each other, in every run: their ids, or their places.

    A single call needs no name.
    """
    if len(calls) == 1:
        return [""]
    ids = [call["id"] for call in calls]
    return [
        f"call:{id}" if id and ids.count(id) == 1 else f"call:{id}:{place}"
        for place, id in enumerate(ids)
    ]


ToolCallRequest.__module__ = "millstream.prebuilt.tool_node"
