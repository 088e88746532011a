"""Authoring graphs of nodes that share a state.

`state` has the builder, `message` the message reducer; `_builder` has what the builder is made of,
among it the rules for what nodes return (`node_results`). What runs a graph is imported when one is
compiled, or first run.
"""

from __future__ import annotations

# Before all modules of ours: they would import it from within many imports, and a CPython whose
# stack grows as deep as that takes memory from the system, and gives it back, at every other call.
import langchain_core.runnables.base

from millstream.constants import END, START
from millstream.graph._builder.message_graph import MessageGraph
from millstream.graph.message import MessagesState, add_messages
from millstream.graph.state import StateGraph

del langchain_core

__all__ = ("END", "START", "MessageGraph", "MessagesState", "StateGraph", "add_messages")
