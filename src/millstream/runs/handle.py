"""`RunHandle`: what the owner of a run that was started has of it."""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol

from typing_extensions import Self

from millstream.runs.log import EventReader
from millstream.typing import ResultT

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.runs.life import HandleStatus, Life
    from millstream.stream import AsyncGraphRunStream, GraphRunStream
    from millstream.types import Interrupt

logger = logging.getLogger(__name__)


class LogStreams(Protocol):
    """What makes run streams of the log of a run."""

    def open(
        self, name: str, events: Iterator[ProtocolEvent], transformers: Any, /
    ) -> GraphRunStream:
        """Return one that is read in threads."""

    def aopen(
        self, name: str, events: AsyncIterator[ProtocolEvent], transformers: Any, /
    ) -> AsyncGraphRunStream:
        """Return one that is read in an event loop."""


class RunHandle(Generic[ResultT]):
    """A run that goes on by itself, as long as its scope, or else the handle, lasts.

    `graph.start` and `graph.astart` return one. Everything here can be used from any thread, and
    from tasks of any event loop, whether the run is sync or async.

    Leaving `with run`, or `async with run`, cancels a run that still goes on, and waits until it
    has stopped. A handle that is dropped cancels its run too, and so does the end of the
    interpreter, which waits some seconds for nodes in threads. Events stay readable as long as the
    handle, or a reader, is there.
    """

    def __init__(self, life: Life, streams: LogStreams | None = None) -> None:
        self._life = life
        self._streams = streams
        # At the end of the interpreter all runs are stopped anyway.
        weakref.finalize(self, _stop, life.going).atexit = False

    def __del__(self, is_exiting: Callable[[], bool] = sys.is_finalizing) -> None:
        """Complain of an error that nobody has asked for."""
        life: Life | None = getattr(self, "_life", None)
        if life is None or life.status != "error" or life.is_heard or is_exiting():
            return
        logger.error(
            "A run of %r failed, and nobody asked for its output", life.name, exc_info=life.error
        )

    @property
    def status(self) -> HandleStatus:
        """Where the run stands; see `HandleStatus`."""
        life = self._life
        life.look()
        life.is_heard = life.is_heard or life.is_over
        return life.status

    @property
    def is_done(self) -> bool:
        """Whether the run has ended, whichever way."""
        self._life.look()
        return self._life.is_over

    @property
    def output(self) -> ResultT:
        """The final state, an instance of the state class where that is a class.

        Raises what the run raised: the error of a node, `GraphDrained` after `drain`,
        `RunCancelledError` after `cancel`. Does not wait: as long as the run goes on it raises
        `RuntimeError`.
        """
        life = self._life
        if not self.is_done:
            raise RuntimeError(
                f"The run of {life.name!r} has no output yet, it is {life.status}: "
                "call `run.wait()`, or `await run.await_end()`"
            )
        try:
            life.raise_error()
            output: ResultT = life.ending.output
            return output
        finally:
            del self, life  # an error refers to this frame

    @property
    def error(self) -> BaseException | None:
        """What asking for the output raises; None as long as nothing went wrong."""
        life = self._life
        life.is_heard = life.is_heard or life.is_over
        return life.error

    @property
    def interrupts(self) -> tuple[Interrupt[Any], ...]:
        """The questions at which the run has stopped; `start` again with `Command(resume=...)`."""
        return self._life.ending.interrupts

    def events(self, after: int = 0) -> EventReader:
        """Return a reader of what the run says, for `for` or `async for`; any number of times.

        It begins with the first event, or with the one that follows `seq` `after`, however late it
        comes, and ends with the run. It does not raise the run's error, of which every reader would
        be told: ask for the output.
        """
        return _RunReader(self._life, after)

    def stream_events(
        self, *, transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None
    ) -> GraphRunStream:
        """Return a run stream of the log, from its first event on; any number of times.

        All views are as those of `graph.stream_events(version="v3")`, whenever it is opened, and
        each stream has its own. Closing one does not stop the run. The run has to be started with
        `version="v3"`, and log what further transformers want to see.
        """
        life = self._life
        return self._log_streams().open(life.id, _protocol_events(life), transformers)

    def astream_events(
        self, *, transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None
    ) -> AsyncGraphRunStream:
        """Return a run stream of the log to be read in an event loop; see `stream_events`."""
        life = self._life
        return self._log_streams().aopen(life.id, _aprotocol_events(life), transformers)

    def _log_streams(self) -> LogStreams:
        if self._streams is None:
            raise RuntimeError(
                f"The run of {self._life.name!r} does not log what run streams show: start it with "
                'version="v3"'
            )
        return self._streams

    def wait(self, timeout: float | None = None) -> ResultT:
        """Wait in this thread until the run has ended, and return its output.

        Raises what `output` raises, `TimeoutError` when the run goes on after so many seconds, and
        `RuntimeError` where that would block the run itself: in the event loop of an async run, and
        in a node.
        """
        if not self._life.wait(timeout):
            raise TimeoutError(f"The run of {self._life.name!r} goes on after {timeout} s")
        try:
            return self.output
        finally:
            del self  # an error refers to this frame

    async def await_end(self) -> ResultT:
        """Wait in this task until the run has ended, and return its output; see `wait`.

        Whoever waits can be cancelled: that does not stop the run.
        """
        self._life.check_outside()
        await self._life.await_end()
        try:
            return self.output
        finally:
            del self  # an error refers to this frame

    def cancel(self) -> None:
        """Stop the run now, with all graphs in it. Returns at once: `wait` until it has stopped.

        Async nodes are cancelled. A sync node cannot be: it ends when it emits something that is
        shown, or by itself. With a saver, what has finished is stored.
        """
        self._life.cancel()

    def drain(self, reason: str = "shutdown") -> None:
        """Have the run stop before its next superstep, and be saved: None as input goes on."""
        self._life.drain(reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._life.cancel()
        self._life.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._life.cancel()
        self._life.check_outside()
        await self._life.await_stop()

    def __repr__(self) -> str:
        return f"<RunHandle of {self._life.name!r}: {self._life.status}>"


def _stop(going: list[Life]) -> None:
    """Stop a run whose handle was dropped, if it goes on."""
    for life in going:
        life.cancel()


def _protocol_events(life: Life) -> Iterator[ProtocolEvent]:
    """Yield what a run says, and raise what it raised; whoever reads need not keep the handle."""
    for event in _RunReader(life, 0):
        yield life.encode(event)
    life.raise_error()


async def _aprotocol_events(life: Life) -> AsyncIterator[ProtocolEvent]:
    """Yield what a run says, and raise what it raised; see `_protocol_events`."""
    async for event in _RunReader(life, 0):
        yield life.encode(event)
    life.raise_error()


class _RunReader(EventReader):
    """A reader that ends when the run has, and does not wait where nothing could come.

    A log is closed before the run has ended: whether that works is part of how it ends.
    """

    __slots__ = ("_life",)

    def __init__(self, life: Life, after: int) -> None:
        super().__init__(life.log, after)
        self._life = life

    def fetch(self) -> bool:
        """Fetch what is there; say whether there is an event, or the end of the run."""
        is_over = self._life.is_over  # asked first, as the log is
        super().fetch()
        return is_over or bool(self._fetched)

    def _wait(self) -> None:
        if not self.fetch():
            self._life.check_blocking()
            self._life.block(self._log.bell, self.fetch)

    async def _await(self) -> None:
        await self._life.await_(self._log.bell, self.fetch)
