"""What tasks say to the readers of `messages` streams: see `stream.messages`.

Used only in runs that somebody listens to.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.drivers.outlet import RunAbandoned

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import BaseMessage

    from millstream.drivers.context import TaskContext
    from millstream.drivers.run import Run
    from millstream.errors import ParentCommand
    from millstream.stream.messages import MessageTap
    from millstream.stream.tap import Tap
    from millstream.stream.tools import ToolTap

TapT = TypeVar("TapT", bound="Tap")


def taps_of(run: Run) -> tuple[MessageTap, ...]:
    """Return the taps of everybody who wants to hear the run, its own consumer's the last."""
    above = run.parent.run.taps if run.parent is not None else ()
    return _with_own(run, above, "messages", _message_tap)


def tool_taps_of(run: Run) -> tuple[ToolTap, ...]:
    """Return the taps of everybody who wants to hear the run's tools."""
    above = run.parent.run.tool_taps if run.parent is not None else ()
    return _with_own(run, above, "tools", _tool_tap)


def _with_own(
    run: Run, above: tuple[TapT, ...], mode: str, make: Callable[[Run], TapT]
) -> tuple[TapT, ...]:
    own = (make(run),) if mode in run.view.modes else ()
    if not above:
        return own
    inherited = (tap.below(run.namespace) for tap in above)
    return (*(tap for tap in inherited if tap is not None), *own)


# Taps are imported with the first stream that needs them: they are slow to import.


def _message_tap(run: Run) -> MessageTap:
    kind: type[MessageTap]
    if run.view.has_blocks:
        from millstream.stream.block_tap import BlockTap as kind
    else:
        from millstream.stream.messages import MessageTap as kind
    has_subgraphs = run.view.has_subgraphs
    return kind(run.pour, run.namespace, run.shape, has_subgraphs=has_subgraphs, room=run.bound)


def _tool_tap(run: Run) -> ToolTap:
    from millstream.stream.tools import ToolTap

    return ToolTap(run.pour, run.namespace, run.shape, has_subgraphs=run.view.has_subgraphs)


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
    taps = context.run.taps
    messages = taps[0].find(result)
    if messages:
        metadata = {"ls_integration": "langgraph", **context.metadata()}
        for tap in taps:
            # That the consumer has gone must not undo what the node has done.
            with suppress(RunAbandoned):
                for message in messages:
                    tap.tell(message, metadata)


def tell_command(context: TaskContext, signal: ParentCommand) -> None:
    """Send that tools of a task have ended with the command that has reached it."""
    from millstream.stream.tools import tell_command

    with suppress(RunAbandoned):
        tell_command(signal, context.run.tool_taps)


def push(context: TaskContext, message: BaseMessage) -> None:
    """Send a message at once, whatever was sent before."""
    metadata = context.metadata() if context.run.taps else {}
    for tap in context.run.taps:
        tap.push(message, metadata)
