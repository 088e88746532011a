"""What tasks say to the readers of `messages` streams: see `stream.messages`.

Used only in runs that somebody listens to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from millstream.drivers.context import TaskContext


def note_input(context: TaskContext) -> None:
    """Take note of the messages that a task is given, before it runs."""
    if context.task.node.is_hidden:
        return
    given = context.traced_input
    for tap in context.run.taps:
        tap.note(given)


def tell_result(context: TaskContext, result: Any) -> None:
    """Send the messages among what a node returned."""
    if context.task.node.is_hidden:
        return
    from millstream.stream.messages import messages_in

    messages = list(messages_in(result))
    if messages:
        metadata = _metadata(context)
        for tap in context.run.taps:
            for message in messages:
                tap.tell(context.run.namespace, message, metadata)


def push(context: TaskContext, message: BaseMessage) -> None:
    """Send a message at once, whatever was sent before."""
    metadata = _metadata(context) if context.run.taps else {}
    for tap in context.run.taps:
        tap.push(context.run.namespace, message, metadata)


def _metadata(context: TaskContext) -> dict[str, Any]:
    return {"ls_integration": "langgraph", **context.metadata()}
