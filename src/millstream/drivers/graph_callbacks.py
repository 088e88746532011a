"""Telling callback handlers that a run starts and ends, goes on, or has stopped for a person.

Called only for runs with callbacks; the other runs pay nothing. `millstream.callbacks` is imported
when there is something to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.core.state import RunStatus
from millstream.drivers import tracing
from millstream.outbox.abandoned import as_traced

if TYPE_CHECKING:
    from millstream._base.run_trees import NodeRun as Callbacks
    from millstream.callbacks import (
        GraphInterruptEvent,
        GraphLifecycleStatus,
        GraphResumeEvent,
        _AsyncGraphCallbackManager,
        _GraphCallbackManager,
    )
    from millstream.drivers.run import Run
    from millstream.modes.event_listener import EventListener


async def notify_started(run: Run) -> None:
    """Tell the handlers that the run starts."""
    graph_run = await tracing.start_graph(run, run.name, run.request.input)
    run.begin_tracing(graph_run, _sole_listener(run, graph_run))


async def notify_resumed(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run continues, if it does."""
    event = _resume_event(run, callbacks)
    if event is not None:
        await run.waits.notified(_handlers(run, callbacks).on_resume(event))


async def notify_failed(run: Run, error: BaseException) -> None:
    """Tell the handlers that the run ended with an error, if its end was not told yet."""
    # None when its end was told: what fails after that, as a saver may, is not the graph's.
    if run.graph_run is not None:
        await run.waits.notified(run.graph_run.on_chain_error(as_traced(error)))


async def notify_ended(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run ended well, or stopped for a person."""
    event = _interrupt_event(run, callbacks)
    if event is not None:
        await run.waits.notified(_handlers(run, callbacks).on_interrupt(event))
    run.end_tracing()
    await run.waits.notified(callbacks.on_chain_end(run.read()))


def _handlers(run: Run, callbacks: Callbacks) -> _GraphCallbackManager | _AsyncGraphCallbackManager:
    from millstream.callbacks import _AsyncGraphCallbackManager, _GraphCallbackManager

    if run.waits.is_async:
        return _AsyncGraphCallbackManager.configure(callbacks.handlers)
    return _GraphCallbackManager.configure(callbacks.handlers)


def _resume_event(run: Run, callbacks: Callbacks) -> GraphResumeEvent | None:
    if run.resumed_step is None:
        return None
    from millstream.callbacks import GraphResumeEvent

    return GraphResumeEvent(
        run_id=callbacks.run_id,
        status="pending",
        checkpoint_id=run.machine.checkpoint_id,
        checkpoint_ns=run.namespace,
    )


def _interrupt_event(run: Run, callbacks: Callbacks) -> GraphInterruptEvent | None:
    machine = run.machine
    status: GraphLifecycleStatus
    if machine.status is RunStatus.PAUSED or (
        machine.status is RunStatus.BREAKPOINT and machine.tasks
    ):
        # With tasks in progress it was a nested graph that reached a breakpoint.
        status = "pending"
    elif machine.status is RunStatus.BREAKPOINT:
        status = "interrupt_after" if machine.is_stopped_after else "interrupt_before"
    else:
        return None
    from millstream.callbacks import GraphInterruptEvent

    return GraphInterruptEvent(
        run_id=callbacks.run_id,
        status=status,
        checkpoint_id=machine.checkpoint_id,
        checkpoint_ns=run.namespace,
        interrupts=tuple(machine.questions),
    )


def _sole_listener(run: Run, graph_run: Callbacks | None) -> EventListener | None:
    """Return the listener to events that alone hears of a run, None if others do or nobody does."""
    if not run.waits.is_async:
        return None  # a sync run tells it as any other handler
    listener = run.listener
    if listener is None and run.parent is not None:
        listener = run.parent.run.listener
    return listener if graph_run is not None and graph_run.handlers == [listener] else None
