"""The life of a run that was started: a thread, or an asyncio task, that reads it to its end.

The reader writes down what the run says. So the run goes on whoever else looks, and is stopped as
by any other reader: that goes away. The handle refers to the life of its run, which does not refer
to the handle: so one that is dropped can stop its run.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import aclosing, closing
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from millstream._base.clock import SYSTEM
from millstream.drivers.switch import RunSwitch
from millstream.errors import GraphDrained, GraphInterrupt, RunCancelledError
from millstream.modes.encoders import encode_protocol
from millstream.outbox.abandoned import RunAbandoned
from millstream.runs.bell import Bell
from millstream.runs.log import MemoryLog

if TYPE_CHECKING:
    from types import TracebackType

    from millstream.modes.event import Event
    from millstream.modes.parts import Part
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.runs.log import EventLog
    from millstream.types import Interrupt

HandleStatus: TypeAlias = Literal[
    "pending", "running", "success", "error", "interrupted", "cancelled", "drained"
]
"""Where a run that was started stands.

- `pending`: it has not begun.
- `running`: it goes on.
- `success`: it has come to its end.
- `error`: it has failed.
- `interrupted`: it waits for a person, at a question or a breakpoint.
- `cancelled`: it was stopped before its end.
- `drained`: it was asked to stop between two supersteps, and has.

The first two are no ends, and no end is ever left.
"""

UNDER_WAY: Final = ("pending", "running")
"""The statuses that are no ends."""
PATIENCE_AT_EXIT: Final = 10.0
"""Seconds the end of the interpreter waits for the threads of all runs together."""
OPEN: Final[set[Life]] = set()
"""Those whose run has not ended: nobody else may refer to one whose handle was dropped."""

_around: ContextVar[tuple[object, ...]] = ContextVar("millstream_runs", default=())
"""The runs that the current code belongs to, the outermost first."""


class Ending(NamedTuple):
    """How a run has ended that did not fail."""

    output: Any
    """Its last state."""
    interrupts: tuple[Interrupt[Any], ...] = ()
    """The questions at which it has stopped."""
    is_interrupted: bool = False
    """It has stopped at questions, or at a breakpoint."""


class Source(Protocol):
    """A run that has not begun, and how to read it."""

    name: str
    """The name of its graph."""
    scope: tuple[str, ...]
    """Its namespace."""

    def parts(self) -> Generator[Part, None, None]:
        """Drive the run in this thread, and yield what it says."""

    def aparts(self) -> AsyncGenerator[Part, None]:
        """Drive the run in this task, and yield what it says."""

    def rest(self) -> Iterable[Part]:
        """Return what a run has said that was stopped while it was read."""

    def ending(self) -> Ending:
        """Say how the run has ended, after everything was read."""


class Life:
    """What a run's thread or task, and its handle, know of it."""

    def __init__(self, source: Source, switch: RunSwitch, log: EventLog | None = None) -> None:
        self.name = source.name
        self.log: EventLog = MemoryLog() if log is None else log
        self.status: HandleStatus = "pending"
        self.ending = Ending(None)
        self.error: BaseException | None = None
        """What asking for the output raises."""
        self.trace: TracebackType | None = None
        """Where that was raised first."""
        self.is_heard = False
        """Somebody has asked how the run has ended."""
        self.ended: Final = Bell()
        """Rings when the run has ended."""
        self.going: Final[list[Life]] = [self]
        """This, until the run has ended. What holds it for ever holds the list instead: a log, or
        the frames of an error, may refer to the handle, and such a circle would never be found."""
        self._source: Source | None = source
        self._switch = switch
        self._mark = object()
        self.id: Final = uuid.uuid4().hex[:16]
        """What ids of events begin with."""

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, whichever way; its status says so and nothing else does."""
        return self.status not in UNDER_WAY

    def encode(self, event: Event) -> ProtocolEvent:
        """Return an event as run streams have it, with the same id for all who read it."""
        encoded = encode_protocol(event)
        encoded["event_id"] = f"{self.id}.{event.seq}"
        return encoded

    def raise_error(self) -> None:
        """Raise what went wrong, if anything did: somebody has asked."""
        self.is_heard = True
        if self.error is not None:
            try:
                # Without the traces of those who got it before.
                raise self.error.with_traceback(self.trace)
            finally:
                del self  # the error refers to this frame

    def start(self) -> None:
        """Begin."""
        raise NotImplementedError

    def drain(self, reason: str) -> None:
        """Have the run stop before its next superstep."""
        self._switch.drain(reason)

    def cancel(self) -> None:
        """Have the run stop now, without waiting for that; from any thread."""
        raise NotImplementedError

    def check_outside(self) -> None:
        """Refuse to have a node wait for the end of its own run: `RuntimeError`."""
        if not self.is_over and self._mark in _around.get():
            raise RuntimeError(
                f"A node of a run of {self.name!r} waits for the end of that run, which waits for "
                "the node"
            )

    def check_blocking(self) -> None:
        """Refuse to block a thread that the run needs: `RuntimeError`."""

    def look(self) -> None:
        """Look whether something has ended the run of which nobody tells."""

    looks: bool = False
    """Whether there may be such a thing."""

    def join(self) -> None:
        """Wait for what is left of a run that has ended: nothing of its code."""

    def wait(self, timeout: float | None = None) -> bool:
        """Block this thread until the run has ended; false if it has not when time is up."""
        self.check_outside()
        self.check_blocking()
        self.block(self.ended, lambda: self.is_over, timeout)
        if self.is_over:
            self.join()
        return self.is_over

    def block(
        self, bell: Bell, has_happened: Callable[[], bool], timeout: float | None = None
    ) -> None:
        """Wait at a bell, and look after the run meanwhile."""
        bell.wait(has_happened, timeout, self.look if self.looks else None)

    async def await_(self, bell: Bell, has_happened: Callable[[], bool]) -> None:
        """Wait at a bell in this task, and look after the run meanwhile."""
        await bell.await_(has_happened, self.look if self.looks else None)

    async def await_end(self) -> None:
        """Wait in this task until the run has ended."""
        await self.await_(self.ended, lambda: self.is_over)
        self.join()

    async def await_stop(self) -> None:
        """Wait until the run has stopped, however often cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        while not self.is_over:
            try:
                await self.await_end()
            except asyncio.CancelledError as error:  # noqa: PERF203
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _begin(self) -> Source:
        assert self._source is not None, "a life is begun once"
        # In the context of the run's own thread or task, which all of its nodes inherit.
        _around.set((*_around.get(), self._mark))
        self.status = "running"
        return self._source

    def _end(self, error: BaseException | None) -> None:
        """Note how the run has ended; at last, and all at once for who waits for it."""
        if self.is_over:
            return
        source = self._source
        assert source is not None, "it goes when the run is over"
        try:
            # What nodes said while they were stopped.
            for part in source.rest():
                self.log.append(part)
            if error is None:
                self.ending = source.ending()
        except Exception as raised:
            error = error or raised
        status, error = _as_end(error, self.name)
        if error is None and self.ending.is_interrupted:
            status = "interrupted"
        self._source = None  # the state of the run is no business of a handle that is kept
        self._switch.detach()
        try:
            self.log.close(error)
        except Exception as raised:
            # The run is what it is; but what was logged of it may be lost.
            status, error = "error", raised
        self.error = error
        self.trace = None if error is None else error.__traceback__
        self.status = status  # last: whoever sees an end sees all of it
        self.going.clear()
        OPEN.discard(self)
        # Everything has been set by now: who wakes looks once.
        self.ended.ring()
        self.log.bell.ring()


def _as_end(error: BaseException | None, name: str) -> tuple[HandleStatus, BaseException | None]:
    """Return what an error that a run ended with means, and what is raised for it."""
    if error is None:
        return "success", None
    if isinstance(error, (RunAbandoned, asyncio.CancelledError)):
        return "cancelled", RunCancelledError(name)
    # It was asked to, but is no less unfinished: whoever wants the output is told.
    if isinstance(error, GraphDrained):
        return "drained", error
    if isinstance(error, GraphInterrupt):
        # Of a run that a node has started: as the node's own question it has to be asked.
        return "interrupted", error
    return "error", error


class ThreadLife(Life):
    """A sync run, in a thread of its own."""

    _thread: threading.Thread

    def start(self) -> None:
        """Begin; `RuntimeError` where no thread can be started."""
        # A thread has an empty context, and a node is to find the one in which its run was started.
        ambient = copy_context()
        self._thread = threading.Thread(
            # Not a method of ours that the error would refer to, by its traceback.
            target=ambient.run,
            args=(_read, self),
            name=f"millstream-run-{self.name}",
            daemon=True,
        )
        OPEN.add(self)
        try:
            self._thread.start()
        except BaseException:
            OPEN.discard(self)
            raise

    def cancel(self) -> None:
        """Stop the run: what its nodes emit raises, and no superstep begins."""
        if not self.is_over:
            self._switch.cancel()

    def join(self) -> None:
        """Wait until the thread has gone, which has nothing more to do."""
        if self._thread is not threading.current_thread():
            self._thread.join()

    def leave(self, timeout: float) -> None:
        """Wait at the end of the interpreter, but not for longer."""
        self._thread.join(timeout)


def _read(life: ThreadLife) -> None:
    """Read a sync run to its end."""
    try:
        with closing(life._begin().parts()) as parts:
            for part in parts:
                life.log.append(part)
                # Nobody has said how it is stopped, where a `stream` was replaced that does not
                # pass the control on: then to leave it is all that can be done.
                if life._switch.is_cancelled and not life._switch.is_attached:
                    raise RunAbandoned(life.name)
        life._end(None)
    except BaseException as error:
        life._end(error)
    finally:
        del life  # the error refers to this frame


class TaskLife(Life):
    """An async run, in an asyncio task of the loop it was started in."""

    looks = True
    _task: asyncio.Task[None]

    def start(self) -> None:
        """Begin, in the next turn of the loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        OPEN.add(self)
        self._task = self._loop.create_task(_aread(self), name=f"millstream-run-{self.name}")
        # For a task that is cancelled before it has begun.
        self._task.add_done_callback(self._note_done)

    def cancel(self) -> None:
        """Cancel the task, once: what stops must not be cut short."""
        if self._switch.is_cancelled or self.is_over:
            return
        self._switch.cancel()
        try:
            if threading.get_ident() == self._thread:
                self._task.cancel()
            else:
                self._loop.call_soon_threadsafe(self._task.cancel)
        except RuntimeError:
            self.look()

    def check_blocking(self) -> None:
        """Refuse to block the event loop that the run needs."""
        if self.is_over or threading.get_ident() != self._thread or not self._loop.is_running():
            return
        raise RuntimeError(
            f"The run of {self.name!r} needs the event loop of this thread, which would be "
            "blocked: use `await run.await_end()`, `async for event in run.events()`, `async with`"
        )

    def look(self) -> None:
        """See whether the loop was closed while the run went on: then it never ends by itself."""
        if self._loop.is_closed():
            self._end(asyncio.CancelledError())

    def leave(self, timeout: float) -> None:
        """Do nothing: no event loop runs any more."""

    def _note_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._end(asyncio.CancelledError())


async def _aread(life: TaskLife) -> None:
    """Read an async run to its end."""
    try:
        async with aclosing(life._begin().aparts()) as parts:
            async for part in parts:
                life.log.append(part)
        life._end(None)
    except BaseException as error:
        life._end(error)
        # asyncio ends the loop with them, as it would if the node had been its own task.
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
    finally:
        del life  # the error refers to this frame


@atexit.register
def stop_all() -> None:
    """Stop all runs at the end of the interpreter: after this their threads stand still."""
    end = SYSTEM.monotonic() + PATIENCE_AT_EXIT
    lives = tuple(OPEN)
    for life in lives:
        life.cancel()
    for life in lives:
        # Cancelled all at once, so that they stop side by side, and then waited for one by one.
        if isinstance(life, ThreadLife):
            life.leave(max(0.0, end - SYSTEM.monotonic()))
