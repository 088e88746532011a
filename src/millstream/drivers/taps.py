"""What tasks say to the readers of `messages` streams: see `modes.message_tap`.

Used only in runs that somebody listens to.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.modes.names import MESSAGES, TOOLS
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import BaseMessage

    from millstream.drivers.context import TaskContext
    from millstream.drivers.run_scope import RunScope
    from millstream.errors import ParentCommand
    from millstream.modes.message_tap import MessageTap
    from millstream.modes.parts import Emit
    from millstream.modes.tap import Tap
    from millstream.modes.tool_tap import ToolTap
    from millstream.recording.tape import Tape

TapT = TypeVar("TapT", bound="Tap")


def taps_of(run: RunScope, emit: Emit) -> tuple[MessageTap, ...]:
    """Return the taps of everybody who wants to hear the run, its own consumer's the last.

    That one emits what code of tasks says.
    """
    above = run.parent.run.taps if run.parent is not None else ()
    own = (_message_tap(run, emit),) if MESSAGES in run.subscription.modes else ()
    if run.request.recording is not None:
        own = (*_recorded_messages(run, run.request.recording), *own)
    return _with_own(run, above, own) if above else own


def ears_of(taps: tuple[MessageTap, ...]) -> tuple[BaseCallbackHandler, ...]:
    """Return what LangChain tells of models, for these taps to hear it: one for all if recorded."""
    if not any(tap.is_recording for tap in taps):
        return taps
    from millstream.recording.listener import Listener

    return (Listener(taps),)


def tool_taps_of(run: RunScope, emit: Emit) -> tuple[ToolTap, ...]:
    """Return the taps of everybody who wants to hear the run's tools."""
    above = run.parent.run.tool_taps if run.parent is not None else ()
    own = (_tool_tap(run, emit),) if TOOLS in run.subscription.modes else ()
    if run.request.recording is not None:
        own = (_recorded_tools(run, run.request.recording), *own)
    return _with_own(run, above, own) if above else own


def _with_own(run: RunScope, above: tuple[TapT, ...], own: tuple[TapT, ...]) -> tuple[TapT, ...]:
    # Those above first: they were there before, and each is the ear of one consumer.
    inherited = (tap.below(run.namespace) for tap in above)
    return (*(tap for tap in inherited if tap is not None), *own)


# Taps are imported with the first stream that needs them: they are slow to import.


def _message_tap(run: RunScope, emit: Emit) -> MessageTap:
    kind: type[MessageTap]
    if run.subscription.has_blocks:
        from millstream.modes.block_tap import BlockTap as kind
    else:
        from millstream.modes.message_tap import MessageTap as kind
    has_subgraphs = run.subscription.has_subgraphs
    return kind(emit, run.namespace, run.shape, has_subgraphs=has_subgraphs, room=run.buffer_limit)


def _tool_tap(run: RunScope, emit: Emit) -> ToolTap:
    from millstream.modes.tool_tap import ToolTap

    return ToolTap(emit, run.namespace, run.shape, has_subgraphs=run.subscription.has_subgraphs)


def _recorded_messages(run: RunScope, tape: Tape) -> tuple[MessageTap, ...]:
    from millstream.recording.taps import recorded_messages

    return recorded_messages(tape, run.namespace, run.shape)


def _recorded_tools(run: RunScope, tape: Tape) -> ToolTap:
    from millstream.recording.taps import recorded_tools

    return recorded_tools(tape, run.namespace, run.shape)


def record_input(context: TaskContext) -> None:
    """Take note of the messages that a task is given, before it runs."""
    # What takes the input in is no node of the graph: what is in it comes to the first one.
    if context.task.node.is_hidden:
        return
    given = context.traced_input
    for tap in context.run.taps:
        tap.record_seen(given)


def end_attempt(context: TaskContext) -> None:
    """Tell that a task has failed and is tried again."""
    for tap in context.run.taps:
        tap.end_attempt(context.ns)


def emit_result(context: TaskContext, result: Any) -> None:
    """Send the messages among what a node returned."""
    if context.task.node.is_hidden:
        return
    taps = context.run.taps
    # Looked for once: what is a message does not depend on who listens.
    messages = taps[0].messages_in(result)
    if messages:
        metadata = {"ls_integration": "langgraph", **context.metadata()}
        for tap in taps:
            # That the consumer has gone must not undo what the node has done.
            with suppress(RunAbandoned):
                for message in messages:
                    tap.emit_new(message, metadata)


def emit_command(context: TaskContext, signal: ParentCommand) -> None:
    """Send that tools of a task have ended with the command that has reached it."""
    from millstream.modes.tool_tap import emit_command

    with suppress(RunAbandoned):
        emit_command(signal, context.run.tool_taps)


def emit_message(context: TaskContext, message: BaseMessage) -> None:
    """Send a message at once, whatever was sent before."""
    metadata = context.metadata() if context.run.taps else {}
    for tap in context.run.taps:
        tap.emit(message, metadata)
