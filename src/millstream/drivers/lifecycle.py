"""Telling `GraphCallbackHandler`s that a run goes on, or that it stopped for a person.

Called only for runs with callbacks; the other runs pay nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from millstream.callbacks import (
    GraphInterruptEvent,
    GraphLifecycleStatus,
    GraphResumeEvent,
    _AsyncGraphCallbackManager,
    _GraphCallbackManager,
)
from millstream.core.state import RunStatus

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        CallbackManagerForChainRun,
    )

    from millstream.drivers.run import Run


Callbacks: TypeAlias = "CallbackManagerForChainRun | AsyncCallbackManagerForChainRun"


def tell_entered(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run continues, if it does."""
    event = _resume_event(run, callbacks)
    if event is not None:
        _GraphCallbackManager.configure(callbacks.handlers).on_resume(event)


async def atell_entered(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run continues, if it does."""
    event = _resume_event(run, callbacks)
    if event is not None:
        await _AsyncGraphCallbackManager.configure(callbacks.handlers).on_resume(event)


def tell_ended(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run stopped for a person, if it did."""
    event = _interrupt_event(run, callbacks)
    if event is not None:
        _GraphCallbackManager.configure(callbacks.handlers).on_interrupt(event)


async def atell_ended(run: Run, callbacks: Callbacks) -> None:
    """Tell the handlers that the run stopped for a person, if it did."""
    event = _interrupt_event(run, callbacks)
    if event is not None:
        await _AsyncGraphCallbackManager.configure(callbacks.handlers).on_interrupt(event)


def _resume_event(run: Run, callbacks: Callbacks) -> GraphResumeEvent | None:
    if run.resumed_step is None:
        return None
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
    return GraphInterruptEvent(
        run_id=callbacks.run_id,
        status=status,
        checkpoint_id=machine.checkpoint_id,
        checkpoint_ns=run.namespace,
        interrupts=tuple(machine.questions),
    )
