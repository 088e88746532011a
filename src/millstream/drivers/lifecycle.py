"""Telling `GraphCallbackHandler`s that a run goes on, or that it stopped for a person.

Called only for runs with callbacks; the other runs pay nothing. `millstream.callbacks` is imported
when there is something to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from millstream.core.state import RunStatus

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        CallbackManagerForChainRun,
    )

    from millstream.callbacks import (
        GraphInterruptEvent,
        GraphLifecycleStatus,
        GraphResumeEvent,
        _AsyncGraphCallbackManager,
        _GraphCallbackManager,
    )
    from millstream.drivers.run import Run


Callbacks: TypeAlias = "CallbackManagerForChainRun | AsyncCallbackManagerForChainRun"


def tell_entered(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run continues, if it does."""
    event = _resume_event(run, callbacks)
    if event is not None:
        _handlers(callbacks).on_resume(event)


async def atell_entered(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run continues, if it does."""
    event = _resume_event(run, callbacks)
    if event is not None:
        await _ahandlers(callbacks).on_resume(event)


def tell_ended(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run stopped for a person, if it did."""
    event = _interrupt_event(run, callbacks)
    if event is not None:
        _handlers(callbacks).on_interrupt(event)


async def atell_ended(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run stopped for a person, if it did."""
    event = _interrupt_event(run, callbacks)
    if event is not None:
        await _ahandlers(callbacks).on_interrupt(event)


def _handlers(callbacks: Callbacks) -> _GraphCallbackManager:
    from millstream.callbacks import _GraphCallbackManager

    return _GraphCallbackManager.configure(callbacks.handlers)


def _ahandlers(callbacks: Callbacks) -> _AsyncGraphCallbackManager:
    from millstream.callbacks import _AsyncGraphCallbackManager

    return _AsyncGraphCallbackManager.configure(callbacks.handlers)


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
