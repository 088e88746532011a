"""Nodes in worker processes.

`concurrent.futures.ProcessPoolExecutor` would not do: nobody can talk to a task that runs in it,
results overtake what was sent before them, and a worker that dies takes the tasks of all others
with it. So there is one line per worker, for everything that goes there and back, in order.

One thread per executor keeps the workers: it starts them, gives them tasks, reads what they send
and ends those that do not stop. Nothing else touches them, so that there is nothing to lock.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from millstream._base.clock import SYSTEM
from millstream.drivers.elsewhere import TaskCalled
from millstream.drivers.executor import Delivery, Execution, Executor, TaskOutcome, TaskRequest
from millstream.errors import UnpicklableError, WorkerDiedError
from millstream.executors.inline import InlineExecutor
from millstream.executors.messages import (
    WORKER,
    Answer,
    Leave,
    Perform,
    Stop,
    answer,
    closed,
    forked,
    is_worker,
    order,
    read,
)
from millstream.executors.pickling import is_to_be_named, named, refusal
from millstream.executors.worker import serve
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from langchain_core.runnables import Runnable
    from typing_extensions import Self

    from millstream.drivers.function_calls import FunctionCall

GRACE: Final = 5.0
"""Seconds that a node which is stopped has to end by itself."""


class ProcessExecutor(Executor):
    """Run nodes in worker processes, started when there is work for them.

    Use it as a context manager, or `close` it: its processes end with it. One that nobody refers to
    any more is closed, too. Processes are started afresh (`spawn`), so a program that is run as a
    file needs `if __name__ == "__main__":` around what it does.

    Args:
        max_workers: How many processes there may be; as many as there are processors by default.
        grace: Seconds that a node has to end by itself when its run is left or cancelled, before
            its process is killed.

    Example:
        >>> from millstream.executors import ProcessExecutor
        >>> with ProcessExecutor(max_workers=2) as executor:
        ...     executor.is_closed
        False
    """

    def __init__(self, max_workers: int | None = None, *, grace: float = GRACE) -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._pool = Pool(max_workers or os.cpu_count() or 1, grace)
        self._finalizer = weakref.finalize(self, self._pool.leave)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no tasks any more."""
        return self._pool.is_closed

    def check(self, node: str, runnable: Runnable[Any, Any] | FunctionCall) -> None:
        """Raise `UnpicklableError` if a node cannot be sent to another process."""
        error = refusal(runnable)
        if error is not None and not is_to_be_named(runnable, error):
            raise named(runnable, node, "its function", error) from error

    def submit(self, request: TaskRequest) -> Execution:
        """Start an attempt of a task, as soon as a process is free."""
        if is_worker() or multiprocessing.current_process().daemon:
            # Of a graph that a node in a process calls: such a process can have none of its own.
            return InlineExecutor().submit(request)
        return self._pool.submit(order(request))

    def close(self) -> None:
        """Stop what is still running, and wait until all processes have ended."""
        self._pool.leave()
        self._pool.join()

    def __enter__(self) -> Self:
        """Use the executor for the length of a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class Process:
    """A worker process, as its keeper sees it."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.has_started = False
        self.task: tuple[Perform, Execution] | None = None
        """What it is doing."""
        self.deadline: float | None = None
        """When it is killed, unless it has stopped by then."""
        self.calls: set[int] = set()
        """The calls of the task that have not ended: it is taken to wait for them."""

    @property
    def is_idle(self) -> bool:
        """Whether it can be given a task."""
        return self.has_started and self.task is None and self.deadline is None

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to end, and has nothing to do."""
        return self.task is None and self.deadline is not None

    def send(self, message: Any) -> None:
        """Send a message; if the process has died, that is noticed elsewhere."""
        try:
            self.connection.send(message)
        except OSError:
            return


class Pool:
    """The processes of an executor, and the thread that keeps them."""

    def __init__(self, limit: int, grace: float) -> None:
        self.is_closed = False
        self._limit, self._grace = limit, grace
        self._lock = threading.Lock()
        """Guards the thread's beginning and end."""
        self._thread: threading.Thread | None = None
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        """What the thread shall do."""
        self._ear, self._mouth = multiprocessing.Pipe(duplex=False)
        """Wakes the thread."""
        self._waiting: deque[tuple[Perform, Execution]] = deque()
        self._processes: list[Process] = []
        self._owner = os.getpid()
        self._context = multiprocessing.get_context("spawn")

    # Called from any thread.

    def submit(self, task: Perform) -> Execution:
        """Take on a task."""
        execution = Execution(
            lambda: self._order(partial(self._stop, execution)),
            lambda reply: self._order(partial(self._reply, execution, reply)),
        )
        # After a fork there is a copy of all this, but not of the thread.
        if self._owner != os.getpid():
            raise forked(task.node, self._owner)
        with self._lock:
            if self.is_closed:
                raise closed(task.node)
            if self._thread is None:
                name = "millstream-processes"
                self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
                self._thread.start()
        self._order(partial(self._waiting.append, (task, execution)))
        return execution

    def leave(self) -> None:
        """Have all tasks stopped and all processes ended."""
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
            if self._thread is None:
                self._ear.close()
                self._mouth.close()
                return
        self._order(self._stop_all)

    def join(self) -> None:
        """Wait until all processes have ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.put(order)
        with self._lock:
            if not self._mouth.closed:
                # After the order, so that the thread finds it when it wakes.
                self._mouth.send_bytes(b"")

    # Called by the thread that keeps the processes.

    def _keep(self) -> None:
        try:
            # Also after it was closed: tasks that came just before are told.
            while not self.is_closed or self._processes or not self._orders.empty():
                self._turn()
        except BaseException as error:
            self._give_up(error)
            raise
        finally:
            with self._lock:
                self._ear.close()
                self._mouth.close()

    def _give_up(self, error: BaseException) -> None:
        """Leave nobody waiting, should this thread not be able to go on."""
        self.is_closed = True
        tasks = [process.task for process in self._processes if process.task is not None]
        for _, execution in (*tasks, *self._waiting):
            execution.put(TaskOutcome(error=error))
        for process in self._processes:
            process.process.kill()

    def _turn(self) -> None:
        deadlines = [each.deadline for each in self._processes if each.deadline is not None]
        timeout = max(0.0, min(deadlines) - SYSTEM.monotonic()) if deadlines else None
        sources: dict[Any, Process | None] = {self._ear: None}
        for process in self._processes:
            sources[process.connection] = sources[process.process.sentinel] = process
        # For all that may happen: orders, messages, the end of a process, a deadline.
        ready = wait(list(sources), timeout)
        # Each process once, though its line and its end may be ready together.
        for found in dict.fromkeys(sources[source] for source in ready):
            if found is not None:
                self._read(found, has_ended=found.process.sentinel in ready)
        if self._ear in ready:
            self._ear.recv_bytes()
        try:
            while True:
                self._orders.get_nowait()()
        except Empty:
            pass
        now = SYSTEM.monotonic()
        for process in self._processes:
            if process.deadline is not None and process.deadline <= now:
                process.process.kill()
                # Looked at again, should the kill take its time.
                process.deadline = now + self._grace
        self._assign()

    def _read(self, process: Process, *, has_ended: bool) -> None:
        """Take what a process has sent, and notice its end."""
        try:
            # To the last message, also of one that has ended: its task may have finished before.
            while process.connection.poll():
                self._take(process, process.connection.recv_bytes())
        except (EOFError, OSError):
            has_ended = True
        if has_ended:
            self._bury(process)

    def _take(self, process: Process, data: bytes) -> None:
        if process.task is None:
            # All that is sent without a task is that it has started.
            process.has_started = True
            if self.is_closed:
                self._end(process)
            return
        task, execution = process.task
        try:
            item = read(data, task.node)
        except UnpicklableError as error:
            item = TaskOutcome(error=error)
            process.process.kill()  # whatever the task does now, nobody follows
        if isinstance(item, Delivery):
            if isinstance(item.event, TaskCalled):
                assert item.number is not None, "whoever calls is told of the end"
                process.calls.add(item.number)
            execution.put(item)
            return
        process.task = process.deadline = None
        process.calls.clear()
        execution.put(item)
        if self.is_closed:
            self._end(process)

    def _bury(self, process: Process) -> None:
        """Note that a process has ended, and fail what it was doing."""
        process.process.join(self._grace)
        if process.process.is_alive():  # its node has closed the line
            process.process.kill()
            process.process.join()
        process.connection.close()
        self._processes.remove(process)
        task, process.task = process.task, None
        pid, code = process.process.pid, process.process.exitcode
        if task is not None:
            task[1].put(TaskOutcome(error=WorkerDiedError(task[0].node, pid, code)))
        elif not process.has_started and self._waiting:
            # So that a program that cannot start one comes to an end.
            request, execution = self._waiting.popleft()
            execution.put(TaskOutcome(error=_not_started(request.node, code)))
        process.process.close()

    def _assign(self) -> None:
        """Give tasks to those who have nothing to do, and start processes for the others."""
        for process in self._processes:
            if self._waiting and process.is_idle:
                process.task = self._waiting.popleft()
                process.send(process.task[0])
        # A process takes a second to start: as many begin as there are tasks for, and no more.
        beginning = sum(not process.has_started for process in self._processes)
        # Those that wait for calls do nothing, and what they call may have to run here too.
        busy = sum(not (process.calls or process.is_leaving) for process in self._processes)
        while beginning < len(self._waiting) and busy < self._limit:
            if self.is_closed:
                return
            has_begun = self._start()
            beginning += has_begun
            busy += has_begun
        for process in self._processes:
            if busy > self._limit and process.is_idle:
                self._end(process)
                busy -= 1

    def _start(self) -> bool:
        """Start a process; where that fails, one task fails with it."""
        ear, mouth = self._context.Pipe()
        try:
            # Daemons end with this process, whatever ends it.
            process = self._context.Process(target=serve, args=(mouth,), name=WORKER, daemon=True)
            process.start()
        except Exception as error:
            ear.close()
            self._waiting.popleft()[1].put(TaskOutcome(error=error))
            return False
        finally:
            mouth.close()
        self._processes.append(Process(process, ear))
        return True

    def _stop(self, execution: Execution) -> None:
        for task in self._waiting:
            if task[1] is execution:
                # It had not begun, so there is nothing to wait for.
                self._waiting.remove(task)
                execution.put(TaskOutcome(error=RunAbandoned(task[0].node)))
                return
        process = self._process_of(execution)
        if process is not None and process.deadline is None:
            process.deadline = SYSTEM.monotonic() + self._grace
            process.send(Stop())

    def _reply(self, execution: Execution, reply: Any) -> None:
        process = self._process_of(execution)
        if process is None or process.task is None:
            return
        process.calls.discard(reply.number)
        try:
            process.connection.send(Answer(reply.number, answer(reply, process.task[0].node)))
        except OSError:
            return  # it has died, which is noticed elsewhere

    def _process_of(self, execution: Execution) -> Process | None:
        for process in self._processes:
            if process.task is not None and process.task[1] is execution:
                return process
        return None

    def _stop_all(self) -> None:
        while self._waiting:
            task, execution = self._waiting.popleft()
            error = RuntimeError(f"The executor of node '{task.node}' was closed")
            execution.put(TaskOutcome(error=error))
        for process in self._processes:
            if process.task is not None:
                self._stop(process.task[1])
            elif process.has_started:
                self._end(process)
            else:
                process.process.kill()

    def _end(self, process: Process) -> None:
        """Have a process end that has nothing to do."""
        process.deadline = SYSTEM.monotonic() + self._grace
        process.send(Leave())


def _not_started(node: str, code: int | None) -> RuntimeError:
    return RuntimeError(
        f"No process could be started for node '{node}': it ended with exit code {code} before it "
        "took any task. Processes import the program's main module, which must do its work under "
        "if __name__ == '__main__'"
    )
