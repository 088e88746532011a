"""Authoring graphs of nodes that share a state.

`state` has the builder, `message` the message reducer; `_builder` has what the builder is made of,
among it the rules for what nodes return (`node_results`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millstream.constants import END, START
from millstream.graph.message import MessagesState, add_messages
from millstream.graph.state import StateGraph

if TYPE_CHECKING:
    from millstream.graph._builder.message_graph import MessageGraph

__all__ = ("END", "START", "MessageGraph", "MessagesState", "StateGraph", "add_messages")


def __getattr__(name: str) -> Any:
    if name == "MessageGraph":
        from millstream.graph._builder.message_graph import MessageGraph

        return MessageGraph
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
