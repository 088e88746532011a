"""What node code can learn about the run it is part of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast, runtime_checkable

from millstream.config import get_config
from millstream.constants import CONF, CONFIG_KEY_RUNTIME
from millstream.typing import ContextT

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from millstream.types import StreamWriter

__all__ = (
    "BaseUser",
    "ExecutionInfo",
    "RunControl",
    "Runtime",
    "ServerInfo",
    "get_runtime",
)


@runtime_checkable
class BaseUser(Protocol):
    """An authenticated user, as a server describes one."""

    @property
    def identity(self) -> str:
        """The user's unique name."""

    @property
    def display_name(self) -> str:
        """The user's name for people."""

    @property
    def is_authenticated(self) -> bool:
        """Say whether the user was authenticated."""

    @property
    def permissions(self) -> list[str]:
        """What the user may do."""


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """Identity of the task that is being executed."""

    checkpoint_id: str
    checkpoint_ns: str
    """The task's namespace, `node:task_id` segments joined by `|`."""
    task_id: str
    thread_id: str | None = None
    run_id: str | None = None
    node_attempt: int = 1
    """Which attempt this is, from 1."""
    node_first_attempt_time: float | None = None
    """When the first attempt began, seconds since the epoch."""

    def patch(self, **overrides: Any) -> ExecutionInfo:
        """Return a copy with some fields replaced."""
        return replace(self, **overrides)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server that runs the graph says about itself."""

    assistant_id: str
    graph_id: str
    user: BaseUser | None = None


class RunControl:
    """A switch with which a running graph is asked to stop between two supersteps.

    The superstep under way ends first. Then the run is saved and raises `GraphDrained`;
    `invoke(None, config)` goes on. Thread-safe. A control that was asked to drain stays so: use a
    new one for the next run.

    Attributes:
        drain_requested: Whether the run was asked to stop.
        drain_reason: Why; None when nobody asked.

    Example:
        >>> from millstream.checkpoint.memory import InMemorySaver
        >>> from millstream.errors import GraphDrained
        >>> from millstream.graph import START, MessagesState, StateGraph
        >>> from millstream.runtime import RunControl
        >>> control = RunControl()
        >>> def first(state: MessagesState) -> dict:
        ...     control.request_drain("the server goes down")
        ...     return {"messages": "one"}
        >>> builder = StateGraph(MessagesState).add_node(first).add_edge(START, "first")
        >>> _ = builder.add_node("second", lambda state: {"messages": "two"})
        >>> graph = builder.add_edge("first", "second").compile(InMemorySaver())
        >>> thread = {"configurable": {"thread_id": "1"}}
        >>> try:
        ...     graph.invoke({"messages": "zero"}, thread, control=control)
        ... except GraphDrained:
        ...     print(control.drain_reason)
        the server goes down
        >>> graph.invoke(None, thread)["messages"][-1].content
        'two'
    """

    __slots__ = ("drain_reason", "drain_requested")

    def __init__(self) -> None:
        self.drain_reason: str | None = None
        """The reason given, None when nobody asked."""
        self.drain_requested = False
        """Whether the run was asked to stop."""

    def request_drain(self, reason: str = "shutdown") -> None:
        """Ask the run to stop before its next superstep; the last reason counts."""
        self.drain_reason = reason
        self.drain_requested = True


def _no_op_stream_writer(_: Any) -> None:
    """Drop the item: nobody listens."""


def _no_op_heartbeat() -> None:
    """Do nothing: the attempt has no idle timeout."""


_NO_CONTEXT: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime(Generic[ContextT]):
    """What a node is given besides its state, by a parameter `runtime: Runtime[Context]`.

    Usable from any thread the node starts: the stream writer knows its namespace.

    Args:
        context: What `invoke(context=...)` was given, an instance of the `context_schema`.
        store: The store that the graph was compiled with.
        stream_writer: Emits any object on the `custom` stream at once.
        heartbeat: Restarts the idle timeout of the current attempt.
        previous: What the last run of an `@entrypoint` on this thread has saved.
        execution_info: Thread, checkpoint, task, and the number of the attempt.
        server_info: What a server says of itself; None without one.
        control: The switch with which the run can be asked to stop.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing_extensions import TypedDict
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.runtime import Runtime
        >>> class State(TypedDict):
        ...     greeting: str
        >>> @dataclass
        ... class Context:
        ...     user: str
        >>> def greet(state: State, runtime: Runtime[Context]) -> State:
        ...     return {"greeting": f"Hello, {runtime.context.user}"}
        >>> graph = StateGraph(State, Context).add_node(greet).add_edge(START, "greet").compile()
        >>> graph.invoke({"greeting": ""}, context=Context("Ada"))
        {'greeting': 'Hello, Ada'}
    """

    context: ContextT = _NO_CONTEXT
    """The run's static context, an instance of the graph's `context_schema`."""
    store: BaseStore | None = None
    stream_writer: StreamWriter = _no_op_stream_writer
    """Emit any object on the `custom` stream at once; a no-op when nobody asked for that mode."""
    heartbeat: Callable[[], None] = _no_op_heartbeat
    """Restart the idle timeout of the current attempt."""
    previous: Any = None
    """The value saved by the previous run of a functional graph."""
    execution_info: ExecutionInfo | None = None
    server_info: ServerInfo | None = None
    control: RunControl | None = None

    @property
    def drain_requested(self) -> bool:
        """Say whether the run was asked to stop after this superstep."""
        return self.control is not None and self.control.drain_requested

    @property
    def drain_reason(self) -> str | None:
        """Why the run was asked to stop."""
        return self.control.drain_reason if self.control is not None else None

    def merge(self, other: Runtime[ContextT]) -> Runtime[ContextT]:
        """Return a runtime with `other`'s fields, and this one's where `other` has none."""
        writer, heartbeat = other.stream_writer, other.heartbeat
        return Runtime(
            context=other.context or self.context,
            store=other.store or self.store,
            stream_writer=self.stream_writer if writer is _no_op_stream_writer else writer,
            heartbeat=self.heartbeat if heartbeat is _no_op_heartbeat else heartbeat,
            previous=self.previous if other.previous is None else other.previous,
            execution_info=other.execution_info or self.execution_info,
            server_info=other.server_info or self.server_info,
            control=other.control or self.control,
        )

    def override(self, **overrides: Any) -> Runtime[ContextT]:
        """Return a copy with some fields replaced."""
        return replace(self, **overrides)

    def patch_execution_info(self, **overrides: Any) -> Runtime[ContextT]:
        """Return a copy with some fields of `execution_info` replaced.

        Raises `RuntimeError` when there is no `execution_info`.
        """
        if self.execution_info is None:
            raise RuntimeError(
                "Cannot patch execution_info before it has been set; it is set inside a run"
            )
        return replace(self, execution_info=self.execution_info.patch(**overrides))


DEFAULT_RUNTIME: Runtime[Any] = Runtime()


def get_runtime(context_schema: type[ContextT] | None = None) -> Runtime[ContextT]:
    """Return the runtime of the node that is running; the argument is for type checkers only.

    Raises `RuntimeError` outside a run.
    """
    return cast("Runtime[ContextT]", get_config()[CONF][CONFIG_KEY_RUNTIME])
