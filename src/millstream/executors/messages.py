"""What an executor and its workers say to each other, whatever carries it.

An executor sends `Perform`, then `Answer` and `Stop`; a worker sends each `Delivery`, then `Ended`.
"""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from millstream.drivers.elsewhere import Emitted, Forwarded, Heard, NodeEvent
from millstream.drivers.executor import Delivery, Reply, TaskOutcome
from millstream.errors import NodeError, UnpicklableError
from millstream.executors.pickling import dumps, named, packed, portable, refusal

if TYPE_CHECKING:
    from millstream.drivers.executor import TaskRequest
    from millstream.executors.pickling import Dumps

WORKER: Final = "millstream-worker"
"""The name of processes that an executor starts."""
CLUSTER_WORKER: Final = "millstream-cluster-worker"
"""The name of those that a cluster starts."""

FREQUENT: Final[tuple[type[NodeEvent], ...]] = (Emitted, Heard, Forwarded)
"""What nodes do most often. It goes as a tuple: the number of its class here, and its fields. How
dataclasses are pickled takes longer than most of what is in them."""
CODES: Final[dict[type, int]] = {kind: code for code, kind in enumerate(FREQUENT)}
FIELDS: Final = (
    attrgetter("namespace", "item"),
    attrgetter("mode", "index", "namespace", "payload"),
    attrgetter("index", "namespace", "mode", "payload"),
)
"""Return the fields of each of these, in the order in which it is made of them."""


@dataclass(frozen=True, slots=True)
class Started:
    """The worker takes tasks from now on."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A task has ended."""

    outcome: TaskOutcome
    traceback: str = ""
    """Where its error was raised."""


@dataclass(frozen=True, slots=True)
class Perform:
    """A task to be done, pickled: it may be that only the worker cannot read it."""

    node: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an event that the task waits for, pickled for the same reason."""

    number: int
    reply: bytes


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the task."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the process when it has nothing to do."""


class WorkerTraceback(Exception):
    """Where an error was raised in another process."""

    def __str__(self) -> str:
        """Return the traceback there."""
        return f'\n"""\n{self.args[0]}"""'


def is_worker() -> bool:
    """Say whether this process is a worker: graphs that a node calls run all their nodes in it."""
    process = multiprocessing.current_process()
    # One that has its name and is no daemon yet imports the program's main module, which has to be
    # told what it does wrong if it runs a graph then.
    return process.name == CLUSTER_WORKER or (process.name == WORKER and process.daemon)


def order(request: TaskRequest, dump: Dumps = dumps) -> Perform:
    """Return the message that has a task done; `UnpicklableError` says why it cannot be sent."""
    # The failure that is handled may be one that cannot be sent.
    if request.error is not None:
        failed = request.error.node
        error = portable(request.error.error, failed, dump)
        request = replace(request, error=NodeError(failed, error))
    try:
        data = packed(request, request.node, "what it is given, its request", dump)
    except UnpicklableError:
        if (refused := refusal(request.runnable, dump)) is not None:
            called = request.runnable
            raise named(called, request.node, "its function", refused, dump) from refused
        raise
    return Perform(request.node, data)


def read_order(order: Perform) -> TaskRequest:
    """Return what a worker is to do."""
    try:
        request: TaskRequest = pickle.loads(order.request)
    except Exception as error:
        raise UnpicklableError(order.node, "what it is given", str(error)) from error
    return request


def answer(reply: Reply, node: str, dump: Dumps = dumps) -> bytes:
    """Return a reply as bytes, or one that says why it cannot be sent."""
    if reply.error is not None:
        reply = replace(reply, error=portable(reply.error, node, dump))
    try:
        return packed(reply, node, "the answer or item it waits for", dump)
    except UnpicklableError as error:
        return pickle.dumps(type(reply)(reply.number, error=error))


def read_answer(number: int, data: bytes, node: str) -> Reply:
    """Return a reply, one with an error if it cannot be read here: a node waits for it."""
    try:
        reply: Reply = pickle.loads(data)
    except Exception as error:
        what = "the answer or item it waits for"
        return Reply(number, error=UnpicklableError(node, what, str(error)))
    return reply


def said(delivery: Delivery, node: str, dump: Dumps = dumps) -> bytes:
    """Return what a task does, as bytes; `UnpicklableError` says why it cannot be sent."""
    event = delivery.event
    code = CODES.get(type(event))
    if code is not None and delivery.number is None:
        try:
            return dump((code, *FIELDS[code](event)))
        except Exception:
            pass  # which part of it is refused is found below
    return packed(delivery, node, getattr(event, "what", "what it emits"), dump)


def ended(outcome: TaskOutcome, node: str, dump: Dumps = dumps) -> bytes:
    """Return how a task ended, as bytes, whatever it ended with."""
    error = outcome.error
    text = "" if error is None else "".join(traceback.format_exception(error))
    if error is not None:
        return dump(Ended(TaskOutcome(error=portable(error, node, dump)), text))
    try:
        return dump(Ended(outcome))
    except Exception as refused:
        # The error says which part of it, and the task fails with that.
        value = outcome.questions or outcome.result
        what = "what it asks" if outcome.questions else "what it returns"
        return ended(TaskOutcome(error=named(value, node, what, refused, dump)), node, dump)


def read(data: bytes, node: str) -> Delivery | TaskOutcome:
    """Return what a worker says; `UnpicklableError` if it cannot be read here."""
    try:
        message: Any = pickle.loads(data)
    except Exception as error:
        raise UnpicklableError(node, "what it emits or returns", str(error)) from error
    if isinstance(message, tuple):
        code, *parts = message
        return Delivery(FREQUENT[code](*parts))
    if isinstance(message, Delivery):
        return message
    outcome: TaskOutcome = message.outcome
    # As the cause, which is printed above the error.
    if isinstance(outcome.error, Exception) and message.traceback:
        outcome.error.__cause__ = WorkerTraceback(message.traceback)
    return outcome


def closed(node: str) -> RuntimeError:
    """Return the error of a task whose executor takes none any more."""
    return RuntimeError(
        f"The executor of node '{node}' is closed: its graph runs only as long as the executor is "
        "open"
    )


def forked(node: str, owner: int) -> RuntimeError:
    """Return the error of a task whose executor is a copy that a fork has left."""
    return RuntimeError(
        f"The executor of node '{node}' belongs to process {owner}, of which this one was forked: "
        "make one here"
    )
