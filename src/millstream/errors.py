"""Errors a program can catch, and the signals that end a node without being errors.

Deliberate oddities:

1. `GraphBubbleUp` and its kinds derive from `BaseException`. They travel through the code of a
   node, where `except Exception` must not swallow an interrupt and let the run end as if it were
   finished. `GraphDrained` alone is an `Exception` as well, because it reaches the caller of a
   run, who may catch it like every other failure.
2. `InvalidRouteError` is a `ValueError`, a `KeyError` and a `TypeError` at once: LangGraph raises
   each of them for some wrong routes, and programs catch them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal
from warnings import warn

from typing_extensions import deprecated

from millstream._types.interrupts import Interrupt
from millstream._types.tool_writer import tool_call_writer
from millstream.warnings import LangGraphDeprecatedSinceV10

if TYPE_CHECKING:
    from millstream._types.command import Command

__all__ = (
    "EmptyChannelError",
    "EmptyInputError",
    "ErrorCode",
    "FencedError",
    "GraphBubbleUp",
    "GraphDrained",
    "GraphInterrupt",
    "GraphRecursionError",
    "InvalidRouteError",
    "InvalidUpdateError",
    "MissingThreadError",
    "NodeCancelledError",
    "NodeError",
    "NodeInterrupt",
    "NodeTimeoutError",
    "ParentCommand",
    "RunCancelledError",
    "TaskNotFound",
    "ThreadBusyError",
    "UnknownInterruptError",
    "UnpicklableError",
    "UnstorableValueError",
    "WorkerDiedError",
    "is_invalid_resume",
)

_INVALID_RESUME_MARK: Final = "_langgraph_invalid_resume"


class ErrorCode(Enum):
    """Codes of the troubleshooting pages that error messages point to."""

    GRAPH_RECURSION_LIMIT = "GRAPH_RECURSION_LIMIT"
    INVALID_CONCURRENT_GRAPH_UPDATE = "INVALID_CONCURRENT_GRAPH_UPDATE"
    INVALID_GRAPH_NODE_RETURN_VALUE = "INVALID_GRAPH_NODE_RETURN_VALUE"
    MULTIPLE_SUBGRAPHS = "MULTIPLE_SUBGRAPHS"
    INVALID_CHAT_HISTORY = "INVALID_CHAT_HISTORY"


def create_error_message(*, message: str, error_code: ErrorCode) -> str:
    """Return `message` with the address of the page that explains `error_code`."""
    return (
        f"{message}\nFor troubleshooting, visit: "
        f"https://docs.langchain.com/oss/python/langgraph/errors/{error_code.value}"
    )


def _revive(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    return kind.__new__(kind, *args)


def _reduce_without_init(error: BaseException) -> tuple[Any, ...]:
    # Programs read `args[0]` as the message, so `args` are not the constructor's parameters
    # and the default way, calling the constructor with them, would fail or say it twice.
    return _revive, (type(error), error.args), error.__dict__


class EmptyChannelError(Exception):
    """A channel was read before anything was written to it."""


class EmptyInputError(Exception):
    """A run got no input and there is nothing saved to continue from."""


class GraphRecursionError(RecursionError):
    """A run did not end within its `recursion_limit` of supersteps.

    Raised after all events of the supersteps that did run.
    """


def recursion_error(steps: int) -> GraphRecursionError:
    """Return the error of a run that took so many supersteps without coming to its end."""
    return GraphRecursionError(
        create_error_message(
            message=(
                f"Recursion limit of {steps} reached without hitting a stop condition. You can "
                "increase the limit by setting the `recursion_limit` config key."
            ),
            error_code=ErrorCode.GRAPH_RECURSION_LIMIT,
        )
    )


class InvalidUpdateError(Exception):
    """The writes of a superstep cannot be applied to a channel."""


class InvalidRouteError(InvalidUpdateError, ValueError, KeyError, TypeError):
    """A node, a conditional edge or an input leads to what is no node; see oddity 2.

    `source` is the node it comes from, START for the input, and `target` what was named instead of
    a node; `nearest` are the names most like it.
    """

    def __init__(
        self, message: str, *, source: str, target: Any, nearest: Sequence[Any] = ()
    ) -> None:
        super().__init__(message)
        self.source = source
        self.target = target
        self.nearest = tuple(nearest)

    # A KeyError shows its argument as code.
    __str__ = Exception.__str__
    __reduce__ = _reduce_without_init


class TaskNotFound(Exception):
    """A task is unknown to the executor that was asked for it."""


class UnknownInterruptError(Exception):
    """A resume value cannot be matched to the pending interrupts.

    `reason` says how: `not_pending` (ids that wait for nothing), `empty_map` (no id at all) or
    `ambiguous` (one value for several interrupts).
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["not_pending", "empty_map", "ambiguous"],
        interrupt_ids: Sequence[str] = (),
        pending_ids: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.interrupt_ids = tuple(interrupt_ids)
        self.pending_ids = tuple(pending_ids)

    __reduce__ = _reduce_without_init


class MissingThreadError(KeyError):
    """A config does not name the thread whose state is meant; the missing key is its argument."""

    def __str__(self) -> str:
        return (
            f"config['configurable'] has no {self.args[0]!r}: say which thread is meant, "
            "as in {'configurable': {'thread_id': '1'}}"
        )


class ThreadBusyError(Exception):
    """Somebody else has written to a thread since it was read, so going on would make a branch.

    Nothing was stored. `known` is the checkpoint that the loser took for the newest, `newest` is
    the one that is; None where there was none.
    """

    def __init__(self, thread_id: str, ns: str, known: str | None, newest: str | None) -> None:
        super().__init__(thread_id, ns, known, newest)
        self.thread_id = thread_id
        self.ns = ns
        self.known = known
        self.newest = newest

    def __str__(self) -> str:
        """Say what happened and what to do."""
        where = f", namespace {self.ns!r}" if self.ns else ""
        return (
            f"Two runs go on with thread {self.thread_id!r}{where} at once: this one goes on from "
            f"checkpoint {self.known!r}, and meanwhile another one has stored {self.newest!r}. "
            "Nothing of this one's step was stored: run it again when the other has ended, begin "
            "a branch on purpose by naming a checkpoint_id, or give the journal on_conflict='fork'"
        )


class FencedError(Exception):
    """Another process has taken a run over, and the one it was taken from stores nothing more.

    Nothing of its step was stored. Unlike a `ThreadBusyError` this is nothing to try again: the run
    goes on elsewhere.
    """

    def __init__(self, thread_id: str, ns: str) -> None:
        super().__init__(thread_id, ns)
        self.thread_id = thread_id
        self.ns = ns

    def __str__(self) -> str:
        """Say what happened and what to do."""
        where = f", namespace {self.ns!r}" if self.ns else ""
        return (
            f"The run in thread {self.thread_id!r}{where} was taken over by another process, as "
            "the journal's guard says. Nothing of this one's step was stored: give the run up "
            "here, it goes on there"
        )


class UnstorableValueError(TypeError):
    """A value of the state, or what a task leaves behind, cannot be stored by the saver."""

    def __init__(self, what: str, node: str, place: str, kind: str, reason: str) -> None:
        super().__init__(what, node, place, kind, reason)
        self.what = what
        """The state key, or what else was to be stored."""
        self.node = node
        """The node that left it behind, empty if no single one did."""
        self.place = place
        """Where in the value the part is that cannot be stored, empty for all of it."""
        self.kind = kind
        """The class of that part."""
        self.reason = reason
        """What the serializer says."""

    def __str__(self) -> str:
        source = f" that node {self.node!r} left" if self.node else ""
        part = f"{self.place} is an instance of" if self.place else "it is an instance of"
        return (
            f"{self.what}{source} cannot be stored: {part} {self.kind} ({self.reason}). "
            "Return what can be stored, annotate the key with UntrackedValue so that it never is, "
            "pass the object as context instead of state, or give the saver "
            "serde=JsonPlusSerializer(pickle_fallback=True)"
        )


@dataclass(frozen=True, slots=True)
class NodeError:
    """What an error handler is told: which node failed, and how."""

    node: str
    error: BaseException


class NodeCancelledError(Exception):
    """A node raised `asyncio.CancelledError` although nobody cancelled the run."""

    def __init__(self, node: str, message: str | None = None) -> None:
        super().__init__(
            f"Node {node!r} raised asyncio.CancelledError" if message is None else message
        )
        self.node = node

    __reduce__ = _reduce_without_init


class RunCancelledError(Exception):
    """A run that was started was stopped before its end; asked for its output it says so."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The run of {name!r} was cancelled before it ended")
        self.name = name

    __reduce__ = _reduce_without_init


class NodeTimeoutError(Exception):
    """A node ran longer than its `TimeoutPolicy` allows.

    Seconds throughout. `timeout` is the limit that was exceeded: `run_timeout` or
    `idle_timeout`, as `kind` says.
    """

    def __init__(
        self,
        node: str,
        elapsed: float,
        *,
        kind: Literal["idle", "run"],
        idle_timeout: float | None = None,
        run_timeout: float | None = None,
    ) -> None:
        if kind == "run":
            timeout, progress = run_timeout, ""
        elif kind == "idle":
            timeout, progress = idle_timeout, " without making progress"
        else:
            raise ValueError("kind must be 'idle' or 'run'")
        if timeout is None:
            raise ValueError(f"{kind}_timeout is required when kind='{kind}'")
        super().__init__(
            f"Node {node!r} exceeded its {kind} timeout of {timeout:.3f}s{progress} "
            f"(elapsed: {elapsed:.3f}s)."
        )
        self.node = node
        self.elapsed = elapsed
        self.kind = kind
        self.timeout = timeout
        self.idle_timeout = idle_timeout
        self.run_timeout = run_timeout

    __reduce__ = _reduce_without_init


class GraphBubbleUp(BaseException):
    """Base of the signals that leave a node on purpose; see oddity 1 of this module."""


class GraphDrained(GraphBubbleUp, Exception):
    """A run stopped between supersteps because it was asked to drain."""

    def __init__(self, reason: str = "shutdown") -> None:
        super().__init__(f"Graph drained: {reason}")
        self.reason = reason

    __reduce__ = _reduce_without_init


class GraphInterrupt(GraphBubbleUp):
    """A node waits for an answer; its one argument is the sequence of `Interrupt`s.

    It is seen inside a run only: the caller of the run gets the interrupts as part of the output.
    """

    def __init__(self, interrupts: Sequence[Interrupt[Any]] = ()) -> None:
        super().__init__(interrupts)


@deprecated(
    "NodeInterrupt is deprecated. Please use `langgraph.types.interrupt` instead.",
    category=None,
)
class NodeInterrupt(GraphInterrupt):
    """Interrupt a node by raising. Deprecated: call `interrupt` instead."""

    def __init__(self, value: Any, id: str | None = None) -> None:
        warn(
            "NodeInterrupt is deprecated. Please use `langgraph.types.interrupt` instead.",
            LangGraphDeprecatedSinceV10,
            stacklevel=2,
        )
        super().__init__([Interrupt(value) if id is None else Interrupt(value, id)])

    __reduce__ = _reduce_without_init


class ParentCommand(GraphBubbleUp):
    """A `Command` for a parent graph on its way there; its one argument is the command."""

    __slots__ = ("tool_call",)

    args: tuple[Command[Any]]
    tool_call: Any
    """What takes the output of the tool that raises this, None outside of tools; not pickled."""

    def __init__(self, command: Command[Any]) -> None:
        super().__init__(command)
        self.tool_call = tool_call_writer.get()


class UnpicklableError(TypeError):
    """Something of a node that runs in another process cannot be sent there, or back."""

    def __init__(self, node: str, what: str, reason: str) -> None:
        super().__init__(node, what, reason)
        self.node = node
        self.what = what
        """What it is, and where in it the part is that cannot be pickled."""
        self.reason = reason

    def __str__(self) -> str:
        """Say what cannot be sent."""
        return (
            f"Node '{self.node}' runs in another process, and {self.what} cannot be sent there or "
            f"back: {self.reason}"
        )


class WorkerDiedError(Exception):
    """The process in which a node ran has ended, whatever the node was doing."""

    def __init__(self, node: str, pid: int | None, exit_code: int | None) -> None:
        super().__init__(node, pid, exit_code)
        self.node = node
        self.pid = pid
        self.exit_code = exit_code
        """What it ended with; a signal as a negative number, None where nobody tells."""

    def __str__(self) -> str:
        """Say what has ended, and how."""
        how = f" with exit code {self.exit_code}"
        if self.exit_code is None:
            how = ""
        elif self.exit_code < 0:
            how = f" with signal {-self.exit_code}"
        return (
            f"The worker process {self.pid} of node '{self.node}' has died{how}; a retry "
            "policy runs the node again in another one"
        )


def mark_invalid_resume(error: BaseException) -> None:
    """Note on `error` that a resume value caused it, for `is_invalid_resume`."""
    try:
        setattr(error, _INVALID_RESUME_MARK, True)
    except AttributeError:
        # An error without a `__dict__` cannot carry the mark, and it must not hide the error.
        return


def is_invalid_resume(error: BaseException) -> bool:
    """Whether `error` says that a resume value does not fit the interrupt it answers."""
    return bool(getattr(error, _INVALID_RESUME_MARK, False))
