"""The workers of a `RayExecutor`, and who keeps them.

Workers are actors rather than tasks of Ray's, because only an actor can be talked to while it is at
work: a node waits for answers and stores, and has to be stopped. A thread keeps each worker: it
starts it, gives it one task after the other, and hears it. What a task says comes as a stream of
batches; when the worker or its node dies, the stream ends with an error, and nothing that it may
still say reaches the run.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray

from millstream.drivers.elsewhere import TaskCalled
from millstream.drivers.executor import Delivery, Execution, TaskOutcome
from millstream.errors import UnpicklableError, WorkerDiedError
from millstream.executors.by_value import dumps
from millstream.executors.messages import answer, closed, forked, order, read
from millstream.executors.pickling import named, refusal
from millstream.executors.ray_connection import Connection
from millstream.executors.ray_worker import RayWorker
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.drivers.executor import Reply, TaskRequest
    from millstream.executors.messages import Perform
    from millstream.executors.ray_connection import Terms


class Pool:
    """The workers of an executor, and the tasks that wait for one."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.is_closed = False
        self._owner = os.getpid()
        self._connection = Connection(terms)
        self._limit = terms.max_workers or 1
        """How many workers may have something to do; known when the cluster is."""
        self._change = threading.Condition()
        """Guards what follows, and tells of changes."""
        self._waiting: deque[Assignment] = deque()
        self._keepers: list[Keeper] = []
        self._ending: list[Keeper] = []
        """Those that end their workers."""

    def check(self, node: str, runnable: Any) -> None:
        """Raise if a node cannot be sent."""
        if (error := refusal(runnable, dumps)) is not None:
            raise named(runnable, node, "its function", error, dumps) from error

    def connect(self) -> None:
        """Reach the cluster, if that has not been done."""
        fitting = self._connection.open()
        with self._change:
            self._limit = self.terms.max_workers or fitting
            self._assign()

    def submit(self, request: TaskRequest) -> Execution:
        """Take on a task."""
        # After a fork there is a copy of all this, but not of the threads.
        if self._owner != os.getpid():
            raise forked(request.node, self._owner)
        assignment = Assignment(order(request, dumps), self)
        with self._change:
            if self.is_closed:
                raise closed(request.node)
            self._waiting.append(assignment)
            self._assign()
        return assignment.execution

    def leave(self) -> None:
        """Have all tasks stopped and all workers ended."""
        with self._change:
            if self.is_closed:
                return
            self.is_closed = True
            waiting, keepers = list(self._waiting), list(self._keepers)
            self._waiting.clear()
            self._change.notify_all()
        for assignment in waiting:
            node = assignment.order.node
            error = RuntimeError(f"The executor of node '{node}' was closed")
            assignment.end(TaskOutcome(error=error))
        for keeper in keepers:
            keeper.leave()

    def join(self) -> None:
        """Wait until all workers have ended; then end what was started for them."""
        with self._change:
            keepers = [*self._keepers, *self._ending]
        for keeper in keepers:
            if keeper.thread is not threading.current_thread():
                keeper.thread.join()
        self._connection.close()

    # Called by keepers.

    def next_for(self, keeper: Keeper) -> Assignment | None:
        """Wait for a task for a worker; None if it is not needed any more."""
        with self._change:
            keeper.has_started = keeper.is_idle = True
            self._change.wait_for(self._has_news, self.terms.idle)
            keeper.is_idle = False
            return self._waiting.popleft() if self._waiting else None

    def release(self, keeper: Keeper, *, is_alive: bool) -> None:
        """Note that a task of a worker has ended, and who is alive is free for another."""
        with self._change:
            keeper.calls.clear()
            keeper.is_idle = is_alive
            self._change.notify_all()

    def drop(self, assignment: Assignment) -> None:
        """Forget a task that no worker has taken."""
        with self._change, suppress(ValueError):
            self._waiting.remove(assignment)

    def note_call(self, keeper: Keeper, call: tuple[int, int]) -> None:
        """Note that a node waits for a call: what it calls may have to run here too."""
        with self._change:
            keeper.calls.add(call)
            self._assign()

    def forget_call(self, keeper: Keeper, call: tuple[int, int]) -> None:
        """Note that a call of a node has ended."""
        with self._change:
            keeper.calls.discard(call)
            self._change.notify_all()

    def part(self, keeper: Keeper, error: BaseException | None) -> None:
        """Let go of a worker; one that has never started takes a task along."""
        failed = None
        with self._change:
            self._keepers.remove(keeper)
            self._ending.append(keeper)
            # So that a program that cannot start one comes to an end.
            if error is not None and self._waiting:
                failed = self._waiting.popleft()
            self._assign()
        if failed is not None:
            failed.end(TaskOutcome(error=error))

    def forget(self, keeper: Keeper) -> None:
        """Forget a keeper whose worker has ended."""
        with self._change:
            self._ending.remove(keeper)

    def _has_news(self) -> bool:
        return bool(self._waiting) or self.is_closed or self._busy() > self._limit

    def _busy(self) -> int:
        """Return how many workers count: those whose nodes wait for calls do nothing."""
        return sum(not keeper.calls for keeper in self._keepers)

    def _assign(self) -> None:
        """Have tasks looked at, and workers started for those that nobody will be free for."""
        self._change.notify_all()
        coming = sum(keeper.is_idle or not keeper.has_started for keeper in self._keepers)
        for _ in range(min(len(self._waiting) - coming, self._limit - self._busy())):
            if not self.is_closed:
                keeper = Keeper(self)
                self._keepers.append(keeper)
                keeper.thread.start()


class Keeper:
    """Keeps one worker, in a thread of its own."""

    def __init__(self, pool: Pool) -> None:
        self.has_started = self.is_idle = False
        self.calls: set[tuple[int, int]] = set()
        """The calls of its task that have not ended, each with the number of the attempt: an answer
        may come when the next one has begun."""
        self.thread = threading.Thread(target=self._keep, name="millstream-ray", daemon=True)
        self._pool = pool
        self._worker: Any = None
        self._begin: Any = None
        """Has the worker perform a task; returns what it says."""
        self._pid: int | None = None
        self._numbers = itertools.count()
        self._assignment: Assignment | None = None

    # Called from any thread.

    def leave(self) -> None:
        """Stop what the worker does, or end it if it has not started."""
        assignment = self._assignment
        if assignment is not None:
            assignment.execution.stop()
        elif not self.has_started:
            self.kill()

    def stop(self, number: int) -> None:
        """Have an attempt stopped."""
        self._say("stop", number)

    def reply(self, number: int, node: str, reply: Reply) -> None:
        """Tell an attempt what came of an event."""
        self._pool.forget_call(self, (number, reply.number))
        self._say("reply", number, reply.number, node, answer(reply, node, dumps))

    def kill(self) -> None:
        """End the worker."""
        # Ray would be started by whoever asks, if it has been shut down.
        if self._worker is not None and ray.is_initialized():
            with suppress(Exception):
                ray.kill(self._worker)

    def _say(self, method: str, *args: Any) -> None:
        # That a worker has died is noticed elsewhere.
        if ray.is_initialized():
            with suppress(Exception):
                getattr(self._worker, method).remote(*args)

    # Called in its thread.

    def _keep(self) -> None:
        error = None
        try:
            self._start()
        except BaseException as failure:
            error = failure
        else:
            is_alive = True
            while is_alive and (assignment := self._pool.next_for(self)) is not None:
                is_alive = self._perform(assignment)
        self._pool.part(self, error)
        self.kill()
        self._pool.forget(self)

    def _start(self) -> None:
        self._pool.connect()
        terms = self._pool.terms
        kind = ray.remote(
            **{
                **terms.options,
                "num_cpus": terms.num_cpus,
                "num_gpus": terms.num_gpus,
                "resources": terms.resources,
                # It is told things while it is at work; groups of Ray's for that take longer.
                "max_concurrency": 2,
            }
        )(RayWorker)
        self._worker = kind.remote([os.path.abspath(path) for path in sys.path])
        self._begin = self._worker.perform.options(num_returns="streaming").remote
        # Closed before there was something to be killed.
        if self._pool.is_closed:
            self.kill()
        self._pid = ray.get(self._worker.ready.remote())

    def _perform(self, assignment: Assignment) -> bool:
        """Have a task done; return whether the worker can be given another."""
        number, node = next(self._numbers), assignment.order.node
        self._assignment = assignment
        # Closed before it was known what is to be stopped.
        if self._pool.is_closed:
            assignment.execution.stop()
        outcome, is_alive = None, False
        try:
            if assignment.begin(self, number):
                outcome = self._hear(assignment, number)
            is_alive = True
        except UnpicklableError as refused:
            outcome = TaskOutcome(error=refused)  # whatever the task does now, nobody follows
        # Of Ray, of many kinds, or its end.
        except Exception as lost:
            died = WorkerDiedError(node, self._pid, None)
            died.__cause__ = lost
            outcome = TaskOutcome(error=died)
        if outcome is None:
            unsaid = RuntimeError(f"The worker of node '{node}' has not said how it ended")
            outcome = TaskOutcome(error=unsaid)
        self._assignment = None
        # Before anybody knows that it has ended: the task that comes next finds a worker free.
        self._pool.release(self, is_alive=is_alive)
        assignment.end(outcome)
        return is_alive

    def _hear(self, assignment: Assignment, number: int) -> TaskOutcome | None:
        """Pass on what a task does, and return how it ended; None if that was not said.

        Nothing follows an outcome, so the end of the stream is not waited for.
        """
        asked = assignment.order
        for batch in self._begin(number, asked.node, asked.request):
            heard: list[Delivery] = []
            try:
                for data in ray.get(batch):
                    item = read(data, asked.node)
                    if isinstance(item, TaskOutcome):
                        return item
                    if isinstance(item.event, TaskCalled):
                        assert item.number is not None, "whoever calls is told of the end"
                        self._pool.note_call(self, (number, item.number))
                    heard.append(item)
            # Also what comes before something that cannot be read.
            finally:
                assignment.execution.put_all(heard)
        return None


class Assignment:
    """A task on its way through the pool, to its outcome."""

    def __init__(self, order: Perform, pool: Pool) -> None:
        self.order = order
        self.execution = Execution(self._stop, self._reply)
        self._pool = pool
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._number = -1
        self._is_stopped = self._has_ended = False
        self._deadline: threading.Timer | None = None
        """Ends the worker, unless the task has stopped by then."""

    def begin(self, keeper: Keeper, number: int) -> bool:
        """Say who does it, under which number; return whether it is still wanted."""
        with self._lock:
            self._keeper, self._number = keeper, number
            return not self._has_ended

    def end(self, outcome: TaskOutcome) -> bool:
        """Say how it ended; return whether that was not known yet."""
        with self._lock:
            if self._has_ended:
                return False
            self._has_ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        self.execution.put(outcome)
        return True

    def _stop(self) -> None:
        with self._lock:
            if self._is_stopped or self._has_ended:
                return
            self._is_stopped = True
            keeper, grace = self._keeper, self._pool.terms.grace
            if keeper is not None:
                self._deadline = threading.Timer(grace, self._give_up, (keeper,))
                self._deadline.daemon = True
                self._deadline.start()
        if keeper is None:
            # It had not begun, so there is nothing to wait for.
            self._pool.drop(self)
            self.end(TaskOutcome(error=RunAbandoned(self.order.node)))
        else:
            keeper.stop(self._number)

    def _give_up(self, keeper: Keeper) -> None:
        with self._lock:
            has_ended = self._has_ended
        if not has_ended:
            keeper.kill()

    def _reply(self, reply: Reply) -> None:
        keeper = self._keeper
        if keeper is not None and not self._has_ended:
            keeper.reply(self._number, self.order.node, reply)
