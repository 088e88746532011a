"""The pump of async runs: an asyncio task that exists only while somebody waits for the run.

It takes one event after the other. When that wakes readers, they get their turn before the next
event, so that one who is given a handle can look at it before more of it happens. Only pieces of
messages that come together are taken together: there is nothing in them to look into.

How long a turn is follows from a rule of event loops: what is ready first is called first. A task
that makes others ready, and then lets go of the loop once, goes on when all of them have come to
where they wait again. That is a fence.

1. Readers are ready when the event has been pushed. After a fence each of them has taken its item,
   and begun whatever it begins with that: tasks that read a handle are ready now.
2. After another fence these have come to where they wait for what the handle will show.
3. A reader that has ended before the second fence has read for somebody else: in `asyncio.gather`
   and task groups, and before Python 3.12 in `asyncio.wait_for`. Whoever that is, is told by a
   callback of the ended task, and made ready by the callback: two fences more.

So a handle shows everything to whoever begins to read it as the first thing he does with it. Who
awaits something else before is not waited for: that may take for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final

from millstream._base.cancellation import wait_through_cancellation
from millstream.modes.protocol_events import as_event, is_delta
from millstream.stream._readers.pump import Feed, Pump, is_beside, is_within, mark_within

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.stream._events.mux import StreamMux

    Waiter = tuple[asyncio.Future[None], asyncio.Task[object] | None]
    """What a reader waits for, and who it is."""

BURST: Final = 32
"""How many pieces of messages are taken together at most."""


class AsyncPump(Pump):
    """Carries an async run on when somebody reads."""

    def __init__(self, events: AsyncIterator[Any], mux: StreamMux) -> None:
        super().__init__()
        self._events = events
        self._mux = mux
        # Nodes belong to whoever opened the run, whichever task reads.
        self._context = contextvars.copy_context()
        self._context.run(mark_within, self)
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._waiting: dict[object, int] = {}
        """How often each asyncio task waits; only those that do."""
        self._pulls: list[Waiter] = []
        """Those who wait for any event."""
        self._room: asyncio.Future[None] | None = None
        self._woken: list[asyncio.Task[object] | None] = []
        """Readers that wait for their turn."""
        self._burst = 0
        """Pieces of messages for which readers have had no turn yet."""
        self._early: ProtocolEvent | None = None
        """An event for which nobody waited any more when it came."""
        self._is_exhausted = False
        self._is_over = False

    def here(self) -> object:
        """Return the current asyncio task, None outside of any."""
        try:
            return asyncio.current_task()
        except RuntimeError:
            return None

    def is_busy(self, reader: object) -> bool:
        """Say whether a task lives and does not wait for the run."""
        if not isinstance(reader, asyncio.Task) or reader.done():
            return False
        return reader not in self._waiting

    def wait(self, feed: Feed[Any]) -> Awaitable[bool]:
        """Have the run go on until there is something for a reader; false at its end."""
        feed.reader = asyncio.current_task()
        if feed.waiter is None:
            # A list: several tasks may read one feed.
            feed.waiter = []
        return self._join(feed.waiter)

    def pull(self) -> Awaitable[bool]:
        """Have the run go on by at least one event; false at its end."""
        return self._join(self._pulls)

    async def _join(self, waiters: list[Waiter]) -> bool:
        """Wait with others until the pump wakes them; one who alone is cancelled stops the run."""
        # What was scheduled beside the run is waited for at its end, and sees that there is no
        # more.
        if self._is_over or (self._is_exhausted and is_beside(self)):
            return False
        if is_within(self):
            raise RuntimeError(
                "A run stream was read by a transformer, or a node, of its own run: that would "
                "wait for itself"
            )
        loop = asyncio.get_running_loop()
        me = asyncio.current_task(loop)
        waiter = loop.create_future()
        waiters.append((waiter, me))
        self._waiting[me] = self._waiting.get(me, 0) + 1
        if self._task is None and self._closing is None:
            # In the context of whoever opened the run; it lives as long as somebody waits.
            self._task = spawn(self._carry_on(), self._context)
        elif self._room is not None:
            self.recheck()  # it may have been us whom it waited for
        try:
            await waiter
        except asyncio.CancelledError:
            self._stop_waiting(me)
            # Who reads alone is the run's only owner, as with `astream`.
            if not (is_beside(self) or self._has_other_reader(me)):
                await self.stop()
            raise
        self._stop_waiting(me)
        return not self._is_over

    def _stop_waiting(self, me: object) -> None:
        times = self._waiting.pop(me) - 1
        if times:
            self._waiting[me] = times

    def _has_other_reader(self, me: object) -> bool:
        """Say whether somebody besides a task reads the run, now waiting or not."""
        if any(task is not me for task in self._waiting):
            return True
        readers = {feed.reader for feed in self.feeds if not feed.is_ended}
        # One that is done without having been cancelled may have read an item for somebody else,
        # who reads on: before Python 3.12 `asyncio.wait_for` reads in a task of its own.
        return any(
            isinstance(task, asyncio.Task) and task is not me and not task.cancelled()
            for task in readers
        )

    def wake(self, feed: Feed[Any]) -> None:
        """Let those go on who wait for a feed."""
        waiters, feed.waiter = feed.waiter, None
        self._resolve(waiters)

    def recheck(self) -> None:
        """Look again at whether the run is held back."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _resolve(self, waiters: list[Waiter]) -> None:
        for waiter, reader in waiters:
            self._woken.append(reader)
            if not waiter.done():
                waiter.set_result(None)

    async def _carry_on(self) -> None:
        """Carry the run on as long as somebody waits for it, and tell the readers how it ended."""
        try:
            await self._take_events()
        except asyncio.CancelledError as error:
            # What stops the run tells the readers itself. Otherwise all tasks are being cancelled,
            # and the run ends as for a reader of `astream`.
            if self._closing is None:
                await self._fail(error)
            raise
        except (KeyboardInterrupt, SystemExit):
            # It ends the program: the loop raises it to whoever runs the loop.
            self._is_over = self._closing is None
            raise
        except BaseException as error:
            await self._fail(error)
        finally:
            self._task = None
            if self._is_over:
                self._wake_all()
            self._woken.clear()

    async def _take_events(self) -> None:
        while self._waiting and self._closing is None:
            while self.limited and self.is_held_back():
                await self._wait_for_room()
            event = self._early or await self._next()
            self._early = None
            if event is None:
                await self._conclude()
                return
            is_piece = is_delta(event)
            if self._burst and not (is_piece and self._burst < BURST):
                await self._give_turns()
                if not self._waiting:
                    # Kept for the next who waits: it has happened, and must be neither lost nor
                    # pushed to nobody.
                    self._early = event
                    return
            await self._mux.apush(event)
            if self._pulls:
                self._wake_pulls()
            if self._woken:
                # Where a feed has a limit each piece may be the one that fills it.
                if is_piece and not self.limited:
                    self._burst += 1
                else:
                    await self._give_turns()

    async def _fail(self, error: BaseException) -> None:
        """Tell the readers that the run failed; who stops it is told of an error of stopping."""
        if self._closing is not None:
            raise error
        try:
            await self._close_events()
        except Exception as raised:
            if self._closing is not None:
                raise
            error = raised
        finally:
            await self._mux.afail(error)
            self._is_over = True

    async def _next(self) -> ProtocolEvent | None:
        try:
            item = await anext(self._events)
        except StopAsyncIteration:
            return None
        return as_event(item)

    async def _give_turns(self) -> None:
        """Let readers go on who have been woken, and what they begin; see above."""
        woken, self._woken, self._burst = self._woken, [], 0
        await _fence()
        for reader in woken:
            if reader is not None and reader.done():
                await _fence()
                await _fence()
                break
        await _fence()

    async def _conclude(self) -> None:
        """End the run well: nothing more happens, but what transformers have scheduled."""
        self._is_exhausted = True
        self._wake_all()
        await self._mux.aconclude()
        self._is_over = True

    async def _wait_for_room(self) -> None:
        """Wait until a full feed has room, or its reader waits for the run, or has gone."""
        room = self._room = asyncio.get_running_loop().create_future()
        readers = [feed.reader for feed in self.limited if feed.is_full]
        for reader in readers:
            if isinstance(reader, asyncio.Task):
                # One that is cancelled takes nothing more, and nobody else would tell.
                reader.add_done_callback(self._reader_gone)
        try:
            await room
        finally:
            for reader in readers:
                if isinstance(reader, asyncio.Task):
                    reader.remove_done_callback(self._reader_gone)

    def _reader_gone(self, _: object) -> None:
        self.recheck()

    def _wake_pulls(self) -> None:
        pulls, self._pulls = self._pulls, []
        self._resolve(pulls)

    def _wake_all(self) -> None:
        self._wake_pulls()
        for feed in list(self.feeds):
            if feed.waiter is not None:
                self.wake(feed)

    async def stop(self) -> None:
        """Stop the run, and return when everything in it has stopped, however often cancelled.

        From inside the run itself it returns at once: what stops would wait for itself.
        """
        if self._closing is None:
            if self._is_over and self._task is None:
                return
            ambient = contextvars.copy_context()
            # What is closed is of the run: it must not wait for the run either.
            ambient.run(mark_within, self)
            self._closing = spawn(self._shut(), ambient)
        if is_within(self) or is_beside(self):
            return
        cancelled: asyncio.CancelledError | None = None
        while not self._closing.done():
            cancelled = await wait_through_cancellation([self._closing]) or cancelled
        self._closing.result()
        if cancelled is not None:
            raise cancelled

    async def _shut(self) -> None:
        task = self._task
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
                # Its error is one of stopping, and goes to who stops.
                if not task.cancelled():
                    task.result()
            await self._close_events()
        finally:
            await self._mux.aabandon()
            self._is_over = True
            self._wake_all()

    async def _close_events(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


@types.coroutine
def _fence() -> Generator[None, None, None]:
    """Let go of the loop until everything that is ready now has been called.

    As `asyncio.sleep(0)` does, which makes another coroutine for it: there are two for each event.
    """
    yield


def spawn(work: Coroutine[Any, Any, None], ambient: contextvars.Context) -> asyncio.Task[None]:
    """Start an asyncio task in a context; before Python 3.11 in a copy of it."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 11):
        return loop.create_task(work, context=ambient)
    return ambient.run(loop.create_task, work)
