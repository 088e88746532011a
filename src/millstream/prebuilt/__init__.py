"""Ready-made parts of agents: the node that runs tools and the edge that leads to it.

Read `tool_node` first. Agents themselves are in `langchain.agents`.
"""

from __future__ import annotations

from millstream.prebuilt.tool_node import (
    InjectedState,
    InjectedStore,
    ToolNode,
    ToolRuntime,
    tools_condition,
)
from millstream.prebuilt.tool_validator import ValidationNode
from millstream.stream._transformers.tool_calls import ToolCallTransformer

__all__ = (
    "ToolNode",
    "ToolCallTransformer",
    "tools_condition",
    "ValidationNode",
    "InjectedState",
    "InjectedStore",
    "ToolRuntime",
)
