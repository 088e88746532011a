"""Authoring graphs of nodes that share a state.

`state` has the builder, `message` the message reducer; `_builder` has what the builder is made of,
among it the rules for what nodes return (`node_results`).
"""

from __future__ import annotations

from millstream.constants import END, START
from millstream.graph._builder.message_graph import MessageGraph
from millstream.graph.message import MessagesState, add_messages
from millstream.graph.state import StateGraph

__all__ = ("END", "START", "MessageGraph", "MessagesState", "StateGraph", "add_messages")
