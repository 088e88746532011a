"""Facts about nested graphs, told by the engine to run streams: mode `graphs`.

They come before anything else a nested graph says, and after everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from millstream.errors import GraphBubbleUp, GraphDrained, GraphInterrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_protocol.protocol import LifecycleCause

    from millstream.modes.parts import Namespace

SubgraphStatus = Literal["started", "completed", "failed", "interrupted", "drained"]


@dataclass(slots=True, frozen=True)
class SubgraphEvent:
    """A nested graph has started, or ended."""

    status: SubgraphStatus
    namespace: Namespace
    within: Namespace
    """The namespace of the graph whose task called it."""
    name: str
    """Of the agent, if it is one, else of the node that called it."""
    task_id: str
    """The task that called it."""
    cause: LifecycleCause | None = None
    """The tool call that an agent was called for, None where it is not known."""
    error: BaseException | None = None


def cause_of(given: Any) -> LifecycleCause | None:
    """Return what caused the graphs that a task calls: the tool call in its input, if any."""
    # LangChain's agents send a node a tool call in a list of one, or in a dict with the state
    # beside it.
    call = given[0] if isinstance(given, list) and len(given) == 1 else given
    if isinstance(call, dict) and call.get("__type") == "tool_call_with_context":
        call = call.get("tool_call")
    if isinstance(call, dict) and call.get("type") == "tool_call" and call.get("id"):
        return {"type": "toolCall", "tool_call_id": call["id"]}
    return None


def status_after(error: BaseException | None) -> SubgraphStatus:
    """Return how a graph has ended whose run raised this."""
    if error is None:
        return "completed"
    if isinstance(error, GraphInterrupt):
        return "interrupted"
    if isinstance(error, GraphDrained):
        return "drained"
    # A command for the parent graph, or a caller that has read enough.
    return "completed" if isinstance(error, (GraphBubbleUp, GeneratorExit)) else "failed"


def status_of_task(data: Mapping[str, Any]) -> tuple[SubgraphStatus, str | None]:
    """Return how a graph has ended, from the result of the task that called it."""
    if data.get("interrupts"):
        return "interrupted", None
    if data.get("error"):
        return "failed", str(data["error"])
    return "completed", None
