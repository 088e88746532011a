"""Which tasks of a run wait for tasks that they have called, and the threads for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from millstream._base.workers import MAX_THREADS, Workers, import_for_threads

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext


class Callers(dict["TaskContext", int]):
    """How many calls each task of a run has open: such a task is taken to wait for them.

    There is one more thread for each of them than may be busy.
    """

    __slots__ = ("_limit", "here", "threads")

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self._limit = limit or MAX_THREADS
        self.threads: Workers | None = None
        """Made when there is work for them."""
        self.here: TaskContext | None = None
        """The task that runs in the reader's thread and needs no other, if there is one."""

    def workers(self) -> Workers:
        """Return the threads."""
        if self.threads is None:
            import_for_threads()
            # A caller blocks the thread it is in, so that with as many threads as may be busy
            # nobody would be left to do what it waits for.
            self.threads = Workers(self._limit + len(self) - (self.here in self))
        return self.threads

    def begin(self, caller: TaskContext) -> None:
        """Count a call: its caller waits from now on, if it did not before."""
        count = self.get(caller, 0)
        self[caller] = count + 1
        if count == 0 and self.threads is not None and caller is not self.here:
            self.threads.widen()

    def end(self, caller: TaskContext) -> None:
        """Count a call out: its caller waits no more, if it was the last."""
        count = self.get(caller, 0)
        if count > 1:
            self[caller] = count - 1
        else:
            self.forget(caller)

    def forget(self, caller: TaskContext) -> None:
        """Note that a task waits no more, whether or not its calls have ended."""
        if self.pop(caller, 0) and self.threads is not None and caller is not self.here:
            self.threads.narrow()


NOBODY: Final = Callers()
"""The callers of a run that has neither called a task nor needed a thread."""
