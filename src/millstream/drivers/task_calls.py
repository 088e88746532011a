"""Calling a `@task` from the code of a running task: what both drivers need for it.

A driver gives the code a future, runs the call like any other task of the superstep, and settles
the future when the machine knows how the call ended.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream._base.workers import resolve
from millstream.constants import RETURN
from millstream.core.spec import NodeSpec
from millstream.drivers.call_nodes import late_call_error, with_defaults
from millstream.drivers.current_strand import strand_of, text_of
from millstream.drivers.node_context import NodeContext
from millstream.drivers.questions import record_strands
from millstream.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from millstream.modes.names import CUSTOM
from millstream.modes.parts import split_ns
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackManager

    from millstream._base.workers import Workers
    from millstream.core.calls import CallTask
    from millstream.core.strands import Strand
    from millstream.drivers.context import TaskContext
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.drivers.run import Run
    from millstream.types import StreamWriter

AnyFuture: TypeAlias = "Future[Any] | asyncio.Future[Any]"


class CallContext(NodeContext):
    """A call as its code, and its driver, see it."""

    run: Run
    task: CallTask

    def __init__(
        self,
        run: Run,
        task: CallTask,
        caller: TaskContext,
        future: AnyFuture,
        threads: Callable[[], Workers],
        place: str,
    ) -> None:
        super().__init__(run, task)
        self.place = place
        """From where a strand of the caller calls, empty for the caller's own code."""
        self.caller = caller
        self.future = future
        self.threads = threads
        self.ambient: contextvars.Context | None = None
        """The context variables of the caller."""
        self.has_begun = False
        """A thread has taken it up."""
        self.is_resolved = False

    @property
    def parent(self) -> TaskContext:
        """The caller."""
        return self.caller

    @property
    def traced_input(self) -> Any:
        """The arguments by name, as callback handlers are told."""
        return self.task.node.body.call.bound_arguments(self.task.input)

    def inherited_callbacks(self) -> BaseCallbackManager | None:
        """Return the caller's callbacks."""
        return self.caller.callbacks

    def checkpoint_map(self) -> dict[str, str]:
        """Return the checkpoint ids of everything the call is in."""
        return {**self.caller.checkpoint_map(), self.caller.ns: self.task.checkpoint_id}

    def outer_heartbeats(self) -> Heartbeats | None:
        """Return who watches the caller."""
        return self.caller.heartbeats

    def run_writer(self) -> StreamWriter:
        """Return the writer of items in the caller's namespace."""
        emit = self.run.emit_custom
        if emit is None:
            return self.run.writer
        namespace = split_ns(self.ns)[:-1]
        return lambda item: emit((namespace, CUSTOM, item, None))


def begin_call(
    run: Run,
    caller: TaskContext,
    node: NodeSpec,
    value: Any,
    place: str,
    future: AnyFuture,
    threads: Callable[[], Workers],
) -> CallContext | None:
    """Make the task of a call; None where its result is known, which the future then has.

    Raises where nobody waits for it any more.
    """
    # Code in a thread may call after the reader has gone: its run stores nothing more.
    if run.is_left:
        raise RunAbandoned(run.name)
    if caller.is_over:
        raise late_call_error(node, caller)
    record_heartbeat(caller)
    task = run.machine.call(caller.task, with_defaults(run, node), value, place)
    context = CallContext(run, task, caller, future, threads, place)
    # It ran before this task was interrupted, or was killed.
    if task.is_done:
        resolve_call(context, None)
        return None
    return context


def place_of_call(
    caller: TaskContext, node: NodeSpec, value: Any, strand: Strand | None = None
) -> str:
    """Return from where a strand of a task calls; empty for the task's own code.

    It is the strand of the code that calls this, if nobody says otherwise.
    """
    # Where nothing is stored no call is ever found again, and its place need not be known.
    if caller.run.recorder is None:
        return ""
    if strand is None:
        strand = strand_of(caller)
    place = strand.place(partial(text_of, (node.name, value)))
    if place:
        record_strands(caller)
    return place


def async_call_error() -> RuntimeError:
    """Return the error for the call of an async function in a sync run."""
    return RuntimeError("In an sync context async tasks cannot be called")


def record_heartbeat(caller: TaskContext) -> None:
    """Take note that a call begins or ends, a sign of life of its caller."""
    if (heartbeats := caller.heartbeats) is not None:
        heartbeats.record_event()


def report_call(context: CallContext, error: BaseException | None) -> None:
    """Tell the machine how a call ended."""
    run, task = context.run, context.task
    record_heartbeat(context.caller)
    if error is None and not task.is_replayed:
        run.report(context, None)
    elif error is not None and not isinstance(error, ParentCommand):
        # A strand's question may reach the caller late or never, so the caller knows it from here.
        if context.place and isinstance(error, GraphInterrupt) and error.args:
            context.caller.record_questions(error.args[0])
        run.report(context, error)
    else:
        context.is_over = True
        context.forget_config()
        if error is None:
            run.record_task(task)  # it came from the cache, which may forget it
        else:
            run.machine.fail(task, error)  # a command that its caller passes on


def resolve_call(context: CallContext, error: BaseException | None) -> None:
    """Give the caller what became of a call, unless it has been told."""
    if context.is_resolved:
        return
    context.is_resolved = True
    result = None
    if error is None:
        result = next((value for name, value in context.task.writes if name == RETURN), None)
    settle(context.future, context.run.name, result, error)


def settle(future: AnyFuture, run: str, result: Any, error: BaseException | None) -> None:
    """Give a future what became of a call, in the thread it is for."""
    if not isinstance(future, Future):
        resolve(future, result, error)
        if isinstance(error, (GraphBubbleUp, RunAbandoned)) and not future.cancelled():
            # A question that its caller ignores, or a call that was dropped, is no error to
            # complain of.
            future.exception()
    elif future.set_running_or_notify_cancel():
        # A future that is waited for in a thread cannot be cancelled once it runs: its owner would
        # wait for ever.
        if isinstance(error, asyncio.CancelledError):
            error = RunAbandoned(run)
        resolve(future, result, error)
