"""The pump of async runs: an asyncio task that exists only while somebody waits for the run.

It takes one event after the other. When that wakes readers, they get their turn before the next
event, so that one who is given a handle can look at it before more of it happens.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Final

from millstream.stream.protocol import as_event
from millstream.stream.pump import Feed, Pump, is_within, note_within
from millstream.waiting import wait_through_cancellation

if TYPE_CHECKING:
    from millstream.stream.mux import StreamMux

    Waiter = asyncio.Future[None]

TURNS: Final = 2
"""Rounds of the event loop that readers get after news: one for themselves, and one for tasks they
have started to read a handle."""


class AsyncPump(Pump):
    """Carries an async run on when somebody reads."""

    def __init__(self, events: AsyncIterator[Any], mux: StreamMux) -> None:
        super().__init__()
        self._events = events
        self._mux = mux
        # Nodes belong to whoever opened the run, whichever task reads.
        self._context = contextvars.copy_context()
        self._context.run(note_within, self)
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._waiting: Counter[object] = Counter()
        """How often each asyncio task waits."""
        self._pulls: list[Waiter] = []
        """Those who wait for any event."""
        self._ends: list[Waiter] = []
        """Those who wait for the end."""
        self._room: Waiter | None = None
        self._has_woken = False
        self._is_over = False

    def here(self) -> object:
        """Return the current asyncio task, None outside of any."""
        try:
            return asyncio.current_task()
        except RuntimeError:
            return None

    def is_busy(self, reader: object) -> bool:
        """Say whether a task lives and does not wait for the run."""
        return isinstance(reader, asyncio.Task) and not reader.done() and not self._waiting[reader]

    async def wait(self, feed: Feed[Any]) -> bool:
        """Have the run go on until there is something for a reader; false at its end."""
        feed.reader = asyncio.current_task()
        if feed.waiter is None:
            feed.waiter = []
        return await self._join(feed.waiter)

    async def pull(self) -> bool:
        """Have the run go on by at least one event; false at its end."""
        return await self._join(self._pulls)

    async def finish(self) -> None:
        """Have the run go on until its end."""
        await self._join(self._ends)

    async def _join(self, waiters: list[Waiter]) -> bool:
        """Wait with others until the pump wakes them; one who alone is cancelled stops the run."""
        if self._is_over:
            return False
        if is_within(self):
            raise RuntimeError(
                "A run stream was read by a transformer, or a node, of its own run: that would "
                "wait for itself"
            )
        me = asyncio.current_task()
        waiter = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        self._waiting[me] += 1
        if self._task is None:
            self._task = spawn(self._carry_on(), self._context)
        elif self._room is not None:
            self.note_room()  # it may have been us whom it waited for
        try:
            await waiter
        except asyncio.CancelledError:
            self._stop_waiting(me)
            if not self._has_other_reader(me):
                await self.stop()
            raise
        self._stop_waiting(me)
        return not self._is_over

    def _stop_waiting(self, me: object) -> None:
        self._waiting[me] -= 1
        if not self._waiting[me]:
            del self._waiting[me]

    def _has_other_reader(self, me: object) -> bool:
        """Say whether somebody besides a task reads the run, now waiting or not."""
        if any(task is not me for task in self._waiting):
            return True
        readers = {feed.reader for feed in self.feeds if not feed.is_ended}
        return any(
            isinstance(task, asyncio.Task) and task is not me and not task.done()
            for task in readers
        )

    def wake(self, feed: Feed[Any]) -> None:
        """Let those go on who wait for a feed."""
        waiters, feed.waiter = feed.waiter, None
        self._resolve(waiters)

    def note_room(self) -> None:
        """Look again at whether the run is held back."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _resolve(self, waiters: list[Waiter]) -> None:
        self._has_woken = True
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _carry_on(self) -> None:
        """Carry the run on as long as somebody waits for it."""
        try:
            while self._waiting:
                while self.limited and self.is_held_back():
                    await self._wait_for_room()
                event = await anext(self._events, None)
                if event is None:
                    self._is_over = True
                    await self._mux.aconclude()
                    break
                await self._mux.apush(as_event(event))
                if self._pulls:
                    self._wake_pulls()
                if self._has_woken:
                    self._has_woken = False
                    for _ in range(TURNS):
                        await asyncio.sleep(0)
        except Exception as error:
            self._is_over = True
            await self._close_events()
            await self._mux.afail(error)
        except BaseException:
            self._is_over = True
            raise
        finally:
            self._task = None
            if self._is_over:
                self._wake_all()

    async def _wait_for_room(self) -> None:
        """Wait until a full feed has room, or its reader waits for the run, or has gone."""
        room = self._room = asyncio.get_running_loop().create_future()
        readers = [feed.reader for feed in self.limited if feed.is_full]
        for reader in readers:
            if isinstance(reader, asyncio.Task):
                reader.add_done_callback(self._note_gone)
        try:
            await room
        finally:
            for reader in readers:
                if isinstance(reader, asyncio.Task):
                    reader.remove_done_callback(self._note_gone)

    def _note_gone(self, _: object) -> None:
        self.note_room()

    def _wake_pulls(self) -> None:
        pulls, self._pulls = self._pulls, []
        self._resolve(pulls)

    def _wake_all(self) -> None:
        self._wake_pulls()
        ends, self._ends = self._ends, []
        self._resolve(ends)
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
            self._closing = spawn(self._shut(), contextvars.copy_context())
        if is_within(self):
            return
        cancelled: asyncio.CancelledError | None = None
        while not self._closing.done():
            cancelled = await wait_through_cancellation([self._closing]) or cancelled
        self._closing.result()
        if cancelled is not None:
            raise cancelled

    async def _shut(self) -> None:
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        try:
            await self._close_events()
        finally:
            self._is_over = True
            await self._mux.aabandon()
            self._wake_all()

    async def _close_events(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


def spawn(work: Coroutine[Any, Any, None], ambient: contextvars.Context) -> asyncio.Task[None]:
    """Start an asyncio task in a context; before Python 3.11 in a copy of it."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 11):
        return loop.create_task(work, context=ambient)
    return ambient.run(loop.create_task, work)
