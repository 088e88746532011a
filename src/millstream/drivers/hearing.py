"""What tasks say to the readers of `messages` streams: see `stream.messages`.

Used only in runs that somebody listens to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from millstream.drivers.context import TaskContext
    from millstream.drivers.run import Run
    from millstream.stream.messages import MessageTap
    from millstream.stream.tools import ToolTap


def taps_of(run: Run) -> tuple[MessageTap, ...]:
    """Return the taps of everybody who wants to hear the run, its own consumer's the last."""
    taps: tuple[MessageTap, ...] = ()
    if run.parent is not None and run.parent.run.taps:
        inherited = (tap.below(run.namespace) for tap in run.parent.run.taps)
        taps = tuple(tap for tap in inherited if tap is not None)
    if "messages" not in run.view.modes:
        return taps
    return (*taps, _own_tap(run))


def _own_tap(run: Run) -> MessageTap:
    # Imported with the first stream of messages: they are slow to import.
    from millstream.stream.messages import MessageTap

    put, namespace, has_subgraphs = run.pour, run.namespace, run.view.has_subgraphs
    if run.buffer is None:
        return MessageTap(put, namespace, run.shape, has_subgraphs=has_subgraphs)
    from millstream.stream.bounded import BoundedTap

    return BoundedTap(put, namespace, run.shape, room=run.buffer, has_subgraphs=has_subgraphs)


def tool_taps_of(run: Run) -> tuple[ToolTap, ...]:
    """Return the taps of everybody who wants to hear the run's tools."""
    taps: tuple[ToolTap, ...] = ()
    if run.parent is not None and run.parent.run.tool_taps:
        inherited = (tap.below(run.namespace) for tap in run.parent.run.tool_taps)
        taps = tuple(tap for tap in inherited if tap is not None)
    if "tools" not in run.view.modes:
        return taps
    from millstream.stream.tools import ToolTap

    has_subgraphs = run.view.has_subgraphs
    return (*taps, ToolTap(run.pour, run.namespace, run.shape, has_subgraphs=has_subgraphs))


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
        metadata = {"ls_integration": "langgraph", **context.metadata()}
        for tap in context.run.taps:
            for message in messages:
                tap.tell(message, metadata)


def push(context: TaskContext, message: BaseMessage) -> None:
    """Send a message at once, whatever was sent before."""
    metadata = context.metadata() if context.run.taps else {}
    for tap in context.run.taps:
        tap.push(message, metadata)
