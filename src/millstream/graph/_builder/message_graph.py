"""The deprecated graph whose whole state is a list of messages."""

from __future__ import annotations

from typing import Annotated, Any
from warnings import warn

from langchain_core.messages import AnyMessage
from typing_extensions import deprecated

from millstream.graph._builder.messages import add_messages
from millstream.graph.state import StateGraph
from millstream.warnings import LangGraphDeprecatedSinceV10

__all__ = ("MessageGraph",)


@deprecated(
    "MessageGraph is deprecated in langgraph 1.0.0, to be removed in 2.0.0. "
    "Please use StateGraph with a `messages` key instead.",
    category=None,
)
class MessageGraph(StateGraph[Any]):
    """Build a graph whose state is a list of messages. Deprecated: use `MessagesState`."""

    def __init__(self) -> None:
        warn(
            "MessageGraph is deprecated in LangGraph v1.0.0, to be removed in v2.0.0. "
            "Please use StateGraph with a `messages` key instead.",
            LangGraphDeprecatedSinceV10,
            stacklevel=2,
        )
        super().__init__(Annotated[list[AnyMessage], add_messages])  # type: ignore[arg-type]  # the root schema is an annotation, not a class


MessageGraph.__module__ = "millstream.graph"
