"""The pump of sync runs: whoever reads carries the run on, in its own thread.

With several reading threads one at a time does, and the others wait until there is something for
them or it is their turn.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from millstream.errors import GraphBubbleUp
from millstream.modes.protocol_events import as_event
from millstream.stream._readers.pump import Feed, Pump, is_within, mark_within

if TYPE_CHECKING:
    from millstream.stream._events.mux import StreamMux

READER_WATCH: Final = 0.05
"""Seconds between two looks at whether a slow reader's thread still lives."""


class SyncPump(Pump):
    """Carries a sync run on when somebody reads."""

    def __init__(self, events: Iterator[Any], mux: StreamMux) -> None:
        super().__init__()
        self._events = events
        self._mux = mux
        # Nodes belong to whoever opened the run, whichever thread reads.
        self._context = contextvars.copy_context()
        self._context.run(mark_within, self)
        self._turn = threading.Condition()
        self._puller: threading.Thread | None = None
        self._waiting: dict[threading.Thread, int] = {}
        """How often each thread waits; only those that do."""
        self._queued = 0
        """Threads that wait for their turn."""
        self._is_over = False
        self._is_left = False

    def here(self) -> threading.Thread:
        """Return the current thread."""
        return threading.current_thread()

    def is_busy(self, reader: object) -> bool:
        """Say whether a thread lives and does not wait for the run."""
        assert isinstance(reader, threading.Thread)
        return reader.is_alive() and reader not in self._waiting

    def recheck(self) -> None:
        """Let those look again who wait for a slow reader."""
        with self._turn:
            self._notify()

    def _notify(self) -> None:
        """Have those look again who wait for their turn; `notify_all` costs when there are none."""
        if self._queued:
            self._turn.notify_all()

    def _wait_for_turn(self, timeout: float | None = None) -> None:
        self._queued += 1
        try:
            self._turn.wait(timeout)
        finally:
            self._queued -= 1

    def wait(self, feed: Feed[Any]) -> bool:
        """Have the run go on until there is something for a reader; false at its end."""
        feed.reader = self.here()
        return self._carry_on(feed)

    def pull(self) -> bool:
        """Have the run go on by one event; false at its end."""
        return self._carry_on(None)

    def _carry_on(self, feed: Feed[Any] | None) -> bool:
        """Carry the run on by one event when it is our turn, unless there is no need any more."""
        me = self.here()
        # A transformer is called by the thread that carries the run on. A node may be in another
        # one: its context tells.
        if self._puller is me or is_within(self):
            raise RuntimeError(
                "A run stream was read by a transformer, or a node, of its own run: that would "
                "wait for itself"
            )
        try:
            return self._begin(me, feed) and self._advance()
        finally:
            if self._puller is me:
                self._pass_on(me)

    def _pass_on(self, me: threading.Thread) -> None:
        """Let others carry the run on."""
        with self._turn:
            self._puller = None
            self._waiting.pop(me, None)
            self._notify()

    def _begin(self, me: threading.Thread, feed: Feed[Any] | None) -> bool:
        """Wait for our turn to carry the run on; return false if there is no need any more."""
        with self._turn:
            self._waiting[me] = self._waiting.get(me, 0) + 1
            if self.limited:
                self._notify()  # it may have been us whom somebody waited for
            try:
                while self._is_needed(feed) and not self._is_our_turn():
                    # Nobody tells of a slow reader whose thread ends.
                    self._wait_for_turn(READER_WATCH if self._puller is None else None)
                if not self._is_needed(feed):
                    return False
                self._puller = me
                return True
            finally:
                # Who carries the run on still counts as waiting for it: its own full feed must not
                # hold it back.
                if self._puller is not me:
                    self._stop_waiting(me)

    def _is_needed(self, feed: Feed[Any] | None) -> bool:
        return not self._is_over and (feed is None or not (feed.items or feed.is_ended))

    def _is_our_turn(self) -> bool:
        return self._puller is None and not (self.limited and self.is_held_back())

    def _stop_waiting(self, me: threading.Thread) -> None:
        times = self._waiting.pop(me) - 1
        if times:
            self._waiting[me] = times

    def _advance(self) -> bool:
        """Carry the run on by one event; say whether it goes on."""
        try:
            # With a default, because a StopIteration would come out of `run` as it is and end a
            # generator around this.
            event = self._context.run(next, self._events, None)
            if event is not None:
                self._mux.push(as_event(event))
            else:
                self._end(None)
        except (KeyboardInterrupt, SystemExit):
            self._leave()  # it ends the program, and is not about the run
            raise
        except BaseException as error:
            self._end(error)
        finally:
            # Somebody has asked to stop meanwhile, and waits for this turn to end.
            if self._is_left and not self._is_over:
                self._leave()
        return not self._is_over

    def _end(self, error: BaseException | None) -> None:
        """Close everything at the end of the run, or after its failure."""
        try:
            self._close_events()
        # What nodes raise while they are closed, signals among it.
        except (Exception, GraphBubbleUp) as raised:
            error = error or raised
        try:
            if error is not None:
                self._mux.fail(error)
            else:
                self._mux.conclude()
        finally:
            self._is_over = True

    def _leave(self) -> None:
        """Stop the run before its end; what it showed stays readable."""
        try:
            self._close_events()
        finally:
            self._mux.conclude()
            self._is_over = True

    def _close_events(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            self._context.run(close)

    def stop(self) -> None:
        """Stop the run, and return when it has stopped.

        A thread cannot be interrupted: what runs in another one is waited for. From inside the run
        itself it stops after the event in progress.
        """
        with self._turn:
            self._is_left = True
            # What runs would wait for itself: it stops when the event in progress is over.
            if self._puller is self.here() or is_within(self):
                return
            while self._puller is not None:
                self._wait_for_turn()
            if self._is_over:
                return
            self._puller = self.here()
        try:
            self._leave()
        finally:
            self._pass_on(self.here())
