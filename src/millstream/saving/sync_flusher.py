"""What a sync run stores: at once, or by a thread behind its back (durability `async`)."""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from millstream._base.clock import SYSTEM
from millstream._base.workers import join
from millstream.saving.recorder import MAX_IN_FLIGHT

if TYPE_CHECKING:
    from millstream.saving.carrier import Carrier, Operation
    from millstream.saving.recorder import Recorder

PLACES: Final = MAX_IN_FLIGHT + 1
"""Operations that are not stored: those that wait, and the one the saver is working on."""
PATIENCE_AT_EXIT: Final = 10.0
"""Seconds the end of the interpreter waits for all savers together."""
OPEN: Final[set[FlushThread]] = set()
"""Those that have not ended. When the interpreter does, they store what they were given."""


class SyncFlusher:
    """What stores the operations of one run's recorder."""

    __slots__ = ("_background",)

    def __init__(self) -> None:
        self._background: FlushThread | None = None

    def flush(self, recorder: Recorder) -> None:
        """Store what is pending, or hand it over to be stored behind the run."""
        if not recorder.is_behind:
            _hand_over(recorder, None)
            return
        if self._background is None:
            self._background = FlushThread(recorder.carrier)
        self._background.begin()
        _hand_over(recorder, self._background)

    def flush_here(self, recorder: Recorder) -> None:
        """Store what is pending in this thread."""
        _hand_over(recorder, None)

    def finish(self, recorder: Recorder) -> None:
        """Store what is left at the end of the run, and wait until everything is stored."""
        if self._background is None:
            self.flush_here(recorder)
            return
        try:
            if self._background.is_alive:
                _hand_over(recorder, self._background)
            else:
                self.flush_here(
                    recorder
                )  # it could not be started, or Ctrl-C has kept it from that
        finally:
            self._background.close()

    def leave(self) -> None:
        """End the thread as soon as everything that was handed over is stored."""
        if self._background is not None:
            self._background.leave()

    def has(self, thread: threading.Thread) -> bool:
        """Say whether it is the thread that stores."""
        return self._background is not None and self._background.has(thread)

    @property
    def is_busy(self) -> bool:
        """Whether something that was handed over is not stored."""
        return self._background is not None and self._background.is_busy


def _hand_over(recorder: Recorder, thread: FlushThread | None) -> None:
    """Give what is pending to the thread that stores, or store it here."""
    pending, carrier = recorder.pending, recorder.carrier
    try:
        # Taken away when they are stored: Ctrl-C must not leave a gap.
        while pending:
            if thread is not None:
                thread.submit(pending[0])
                pending.popleft()
                continue
            some = list(pending) if carrier.is_together else [pending[0]]
            carrier.carry_out(some)
            for _ in some:
                pending.popleft()
    except Exception:
        recorder.give_up()
        raise


class FlushThread:
    """Carries out operations one after the other, at most `MAX_IN_FLIGHT` behind the run.

    The first error of the saver is raised by the next `put`, also by one that waits, or by
    `close`; nothing is stored after it.
    """

    __slots__ = ("_carrier", "_error", "_has_begun", "_operations", "_places", "_thread")

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        # Queues, because Ctrl-C cannot come in the middle of what they do.
        self._operations: SimpleQueue[Operation | None] = SimpleQueue()
        self._places: SimpleQueue[None] = SimpleQueue()
        """As many items as operations may be added."""
        for _ in range(PLACES):
            self._places.put(None)
        self._error: BaseException | None = None
        # What a saver looks up in context variables is that of the run, not of its first thread.
        work = partial(copy_context().run, self._work)
        self._thread = threading.Thread(target=work, name="millstream-store", daemon=True)
        self._has_begun = False

    def begin(self) -> None:
        """Start the thread, unless that was done."""
        if self._has_begun:
            return
        OPEN.add(self)
        self._has_begun = True
        try:
            self._thread.start()
        except Exception:
            OPEN.discard(self)
            self._has_begun = False
            raise

    def submit(self, operation: Operation) -> None:
        """Hand over an operation; waits while too many are in flight."""
        self._raise_error()
        self._places.get()
        # What waited for a place did so for the saver, which may have failed meanwhile.
        self._raise_error()
        self._operations.put(operation)

    def close(self) -> None:
        """Wait until everything is stored, and end the thread."""
        self.leave()
        if self._has_begun:
            join(self._thread)
            self._work()  # for one that Ctrl-C has kept from beginning
        self._raise_error()

    def leave(self) -> None:
        """End the thread as soon as everything is stored."""
        OPEN.discard(self)
        self._operations.put(None)

    def wait(self, timeout: float) -> None:
        """Wait until everything is stored, but not for longer."""
        if not self.is_alive:
            return  # a forked process has no other threads
        end = SYSTEM.monotonic() + timeout
        taken = 0
        try:
            for _ in range(PLACES):
                self._places.get(timeout=max(0.0, end - SYSTEM.monotonic()))
                taken += 1
        except Empty:
            return
        finally:
            for _ in range(taken):
                self._places.put(None)

    def has(self, thread: threading.Thread) -> bool:
        """Say whether it is the one that stores."""
        return thread is self._thread

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that stores."""
        return self._thread.is_alive()

    @property
    def is_busy(self) -> bool:
        """Whether something is not stored."""
        return self._places.qsize() < PLACES

    def _work(self) -> None:
        is_last = False
        while not is_last and (operation := self._operations.get()) is not None:
            operations = [operation]
            if self._carrier.is_together:
                is_last = self._take_more(operations)
            if self._error is None:
                self._store(operations)
            count = len(operations)
            del operation, operations
            for _ in range(count):
                self._places.put(None)
        self._operations.put(None)  # the end stays the end, whoever looks

    def _take_more(self, operations: list[Operation]) -> bool:
        """Add what waits; say whether that is the end."""
        with suppress(Empty):
            while (operation := self._operations.get_nowait()) is not None:
                operations.append(operation)
            return True
        return False

    def _store(self, operations: list[Operation]) -> None:
        try:
            self._carrier.carry_out(operations)
        except BaseException as error:
            self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


@atexit.register
def wait_for_all() -> None:
    """Have everything stored that was handed over: after this the threads stand still."""
    end = SYSTEM.monotonic() + PATIENCE_AT_EXIT
    for each in tuple(OPEN):
        each.wait(end - SYSTEM.monotonic())
