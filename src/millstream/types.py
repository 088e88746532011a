"""What programs pass to a graph and get from it.

What is slow to make, or made of what is slow to import, is there when it is first used: see
`millstream.command` and `millstream.stream_parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypeAlias, final
from warnings import warn

from typing_extensions import TypeVar, deprecated
from xxhash import xxh3_128_hexdigest

from millstream.constants import INTERRUPT, INTERRUPT_ID_PLACEHOLDER, NS_SEP
from millstream.policies import (
    CacheKey,
    CachePolicy,
    RetryPolicy,
    TimeoutPolicy,
    TracePolicy,
    default_cache_key,
    default_retry_on,
    omit_payload,
)
from millstream.typing import ResultT
from millstream.warnings import LangGraphDeprecatedSinceV10, LangGraphDeprecatedSinceV11

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointMetadata

    from millstream.command import Command
    from millstream.executable_task import PregelExecutableTask
    from millstream.interrupts import interrupt
    from millstream.stream_parts import (
        CheckpointPayload,
        CheckpointStreamPart,
        CheckpointTask,
        CustomStreamPart,
        DebugPayload,
        DebugStreamPart,
        MessagesStreamPart,
        StreamPart,
        TaskPayload,
        TaskResultPayload,
        TasksStreamPart,
        UpdatesStreamPart,
        ValuesStreamPart,
    )

    Checkpointer: TypeAlias = bool | BaseCheckpointSaver[Any] | None
    StreamWriter: TypeAlias = Callable[[Any], None]
    """Puts one item into the `custom` stream of a run.

    A node's or tool's parameter with this annotation is given the run's writer, and is not part of
    what a model is told about the tool.
    """

__all__ = (
    "All",
    "CacheKey",
    "CachePolicy",
    "CheckpointPayload",
    "CheckpointStreamPart",
    "CheckpointTask",
    "Checkpointer",
    "Command",
    "CustomStreamPart",
    "DebugPayload",
    "DebugStreamPart",
    "Durability",
    "GraphOutput",
    "Interrupt",
    "MessagesStreamPart",
    "Overwrite",
    "PregelExecutableTask",
    "PregelTask",
    "RetryPolicy",
    "Send",
    "StateSnapshot",
    "StateUpdate",
    "StreamMode",
    "StreamPart",
    "StreamWriter",
    "TaskPayload",
    "TaskResultPayload",
    "TasksStreamPart",
    "TimeoutPolicy",
    "TracePolicy",
    "UpdatesStreamPart",
    "ValuesStreamPart",
    "default_cache_key",
    "default_retry_on",
    "ensure_valid_checkpointer",
    "interrupt",
    "omit_payload",
)

ResponseT = TypeVar("ResponseT", default=Any)

All: TypeAlias = Literal["*"]
"""Every node."""
Durability: TypeAlias = Literal["sync", "async", "exit"]
"""When a checkpoint is saved: before the next superstep, while it runs, or when the run ends."""
StreamMode: TypeAlias = Literal[
    "values", "updates", "checkpoints", "tasks", "debug", "messages", "custom", "tools"
]
"""What a stream shows."""


def __getattr__(name: str) -> Any:
    if name == "Command":
        from millstream.command import Command

        globals()[name] = Command
        return Command
    if name == "interrupt":
        from millstream.interrupts import interrupt

        globals()[name] = interrupt
        return interrupt
    if name == "Checkpointer":
        from langgraph.checkpoint.base import BaseCheckpointSaver

        globals()[name] = alias = bool | BaseCheckpointSaver | None
        return alias
    if name == "StreamWriter":
        from millstream.hidden import Hidden

        globals()[name] = writer = Annotated[Callable[[Any], None], Hidden]
        return writer
    if name == "PregelExecutableTask":
        from millstream.executable_task import PregelExecutableTask

        globals()[name] = PregelExecutableTask
        return PregelExecutableTask
    if name in __all__:
        from millstream import stream_parts

        globals()[name] = part = getattr(stream_parts, name)
        return part
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def ensure_valid_checkpointer(checkpointer: Checkpointer) -> Checkpointer:
    """Return `checkpointer`, or raise `TypeError` when it is not one."""
    if checkpointer is None or checkpointer is True or checkpointer is False:
        return checkpointer
    from langgraph.checkpoint.base import BaseCheckpointSaver

    if not isinstance(checkpointer, BaseCheckpointSaver):
        raise TypeError(
            "Invalid checkpointer provided. Expected an instance of `BaseCheckpointSaver`, "
            f"`True`, `False`, or `None`. Received {type(checkpointer).__name__}. "
            "Pass a proper saver (e.g., InMemorySaver, AsyncPostgresSaver)."
        )
    return checkpointer


def interrupt_id(ns: str, answered: int = 0) -> str:
    """Return the id of an interrupt of the task whose checkpoint namespace is `ns`.

    `answered` counts the interrupts of this task that already have their answer.
    """
    text = f"{ns}{NS_SEP}{answered}" if answered else ns
    return xxh3_128_hexdigest(text.encode())


@final
@dataclass(init=False, slots=True)
class Interrupt(Generic[ResponseT]):
    """A question that a node asks and that a `Command(resume=...)` answers."""

    value: Any
    """What the node says to whoever answers."""
    id: str
    """Names the interrupt when several are pending."""
    response_schema: type[ResponseT] | dict[str, Any] | None = None
    """What an answer must look like: a type, or a JSON schema that is shown but not checked."""

    def __init__(
        self,
        value: Any,
        id: str = INTERRUPT_ID_PLACEHOLDER,
        *,
        response_schema: type[ResponseT] | dict[str, Any] | None = None,
        **deprecated_kwargs: Any,
    ) -> None:
        self.value = value
        self.id = id
        self.response_schema = response_schema
        # Interrupts saved by old versions say where they were raised instead of their id.
        ns = deprecated_kwargs.get("ns")
        if ns is not None and id == INTERRUPT_ID_PLACEHOLDER:
            self.id = interrupt_id(NS_SEP.join(ns))

    @classmethod
    def from_ns(
        cls,
        value: Any,
        ns: str,
        *,
        response_schema: type[ResponseT] | dict[str, Any] | None = None,
    ) -> Interrupt[ResponseT]:
        """Return the first interrupt of the task whose checkpoint namespace is `ns`."""
        return cls(value, interrupt_id(ns), response_schema=response_schema)

    @property
    @deprecated("`interrupt_id` is deprecated. Use `id` instead.", category=None)
    def interrupt_id(self) -> str:
        """Return `id`. Deprecated."""
        warn(
            "`interrupt_id` is deprecated. Use `id` instead.",
            LangGraphDeprecatedSinceV10,
            stacklevel=2,
        )
        return self.id


@dataclass(slots=True)
class Overwrite:
    """Replace the value of a key that has a reducer, instead of reducing into it."""

    value: Any
    type: Literal["__overwrite__"] = "__overwrite__"


class Send:
    """Run a node in the next superstep with an input of its own instead of the state.

    Path functions return it, alone or in a list, and `Command(goto=...)` takes it: one task for
    each, all at once. Their updates come in the order of the list.

    Args:
        node: The name of the node.
        arg: What it is given in place of the state.
        timeout: Limits for this one task, before those of the node: seconds or a `TimeoutPolicy`.

    Raises:
        ValueError: A limit that is not positive.

    Example:
        >>> import operator
        >>> from typing import Annotated
        >>> from typing_extensions import TypedDict
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import Send
        >>> class State(TypedDict):
        ...     words: list[str]
        ...     lengths: Annotated[list[int], operator.add]
        >>> def each(state: State) -> list[Send]:
        ...     return [Send("measure", word) for word in state["words"]]
        >>> builder = StateGraph(State).add_node("measure", lambda word: {"lengths": [len(word)]})
        >>> graph = builder.add_conditional_edges(START, each, ["measure"]).compile()
        >>> graph.invoke({"words": ["mill", "stream"]})["lengths"]
        [4, 6]
    """

    __slots__ = ("arg", "node", "timeout")

    node: str
    """The node to run."""
    arg: Any
    """Its input."""
    timeout: TimeoutPolicy | None
    """Limits for this one task, before those of the node."""

    def __init__(
        self,
        /,
        node: str,
        arg: Any,
        *,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> None:
        self.node = node
        self.arg = arg
        self.timeout = None if timeout is None else TimeoutPolicy.coerce(timeout)

    def __hash__(self) -> int:
        return hash((self.node, self.arg, self.timeout))

    def __eq__(self, value: object) -> bool:
        return (
            isinstance(value, Send)
            and self.node == value.node
            and self.arg == value.arg
            and self.timeout == value.timeout
        )

    def __repr__(self) -> str:
        timeout = "" if self.timeout is None else f", timeout={self.timeout!r}"
        return f"Send(node={self.node!r}, arg={self.arg!r}{timeout})"


class StateUpdate(NamedTuple):
    """One update of a bulk update: what is written, in the name of which node and task."""

    values: dict[str, Any] | None
    as_node: str | None = None
    task_id: str | None = None


class PregelTask(NamedTuple):
    """One task of a superstep, as a snapshot shows it."""

    id: str
    name: str
    path: tuple[str | int | tuple[Any, ...], ...]
    error: Exception | None = None
    interrupts: tuple[Interrupt[Any], ...] = ()
    state: RunnableConfig | StateSnapshot | None = None
    """The state of the subgraph the task runs, or the config that finds it."""
    result: Any | None = None


class StateSnapshot(NamedTuple):
    """The state of a thread at one checkpoint."""

    values: dict[str, Any] | Any
    next: tuple[str, ...]
    """The nodes that run next."""
    config: RunnableConfig
    """What finds this checkpoint again."""
    metadata: CheckpointMetadata | None
    created_at: str | None
    """ISO 8601 time."""
    parent_config: RunnableConfig | None
    tasks: tuple[PregelTask, ...]
    interrupts: tuple[Interrupt[Any], ...]


# No slots: programs read outputs with `vars()`.
@dataclass(frozen=True)
class GraphOutput(Generic[ResultT]):
    """The result of `invoke(version="v2")`: the output and the interrupts it stopped at.

    Reading it like a dict (`result[key]`, `key in result`) is deprecated.
    """

    value: ResultT
    interrupts: tuple[Interrupt[Any], ...] = ()

    def __getitem__(self, key: str) -> Any:
        _warn_of_mapping_access("result[key]")
        if key == INTERRUPT:
            return self.interrupts
        if isinstance(self.value, dict):
            return self.value[key]
        try:
            return getattr(self.value, key)
        except AttributeError:
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        _warn_of_mapping_access("key in result")
        if key == INTERRUPT:
            return bool(self.interrupts)
        if isinstance(self.value, dict):
            return key in self.value
        return isinstance(key, str) and hasattr(self.value, key)


def _warn_of_mapping_access(expression: str) -> None:
    warn(
        f"Accessing GraphOutput via `{expression}` is deprecated. Use `result.value` to access "
        "the output value directly, or `result.interrupts` for interrupts.",
        LangGraphDeprecatedSinceV11,
        stacklevel=3,
    )
