"""The dicts that streams yield, as types: the parts of version 2 and the payloads inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, Union

from typing_extensions import NotRequired, TypeAliasType, TypedDict

from millstream.typing import OutputT, ResultT, StateT

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointMetadata

    from millstream._types.interrupts import Interrupt
    from millstream._types.snapshots import StateSnapshot

__all__ = (
    "CheckpointPayload",
    "CheckpointStreamPart",
    "CheckpointTask",
    "CustomStreamPart",
    "DebugPayload",
    "DebugStreamPart",
    "MessagesStreamPart",
    "StreamPart",
    "TaskPayload",
    "TaskResultPayload",
    "TasksStreamPart",
    "ToolsPayload",
    "ToolsStreamPart",
    "UpdatesStreamPart",
    "ValuesStreamPart",
)


class TaskPayload(TypedDict):
    """A task that starts."""

    id: str
    name: str
    input: Any
    triggers: list[str]
    metadata: NotRequired[dict[str, Any]]


class TaskResultPayload(TypedDict):
    """A task that ended: `result` by state key, or `error`, or `interrupts`."""

    id: str
    name: str
    error: str | None
    interrupts: list[dict[str, Any]]
    result: dict[str, Any]


class CheckpointTask(TypedDict):
    """A task of the superstep that follows a checkpoint."""

    id: str
    name: str
    error: NotRequired[str]
    result: NotRequired[Any]
    interrupts: NotRequired[list[dict[str, Any]]]
    state: StateSnapshot | RunnableConfig | None


class CheckpointPayload(TypedDict, Generic[StateT]):
    """A checkpoint and the tasks that follow it."""

    config: RunnableConfig | None
    metadata: CheckpointMetadata
    values: StateT
    next: list[str]
    parent_config: RunnableConfig | None
    tasks: list[CheckpointTask]


class _DebugCheckpointPayload(TypedDict, Generic[StateT]):
    step: int
    timestamp: str
    type: Literal["checkpoint"]
    payload: CheckpointPayload[StateT]


class _DebugTaskPayload(TypedDict):
    step: int
    timestamp: str
    type: Literal["task"]
    payload: TaskPayload


class _DebugTaskResultPayload(TypedDict):
    step: int
    timestamp: str
    type: Literal["task_result"]
    payload: TaskResultPayload


DebugPayload = TypeAliasType(
    "DebugPayload",
    Union[_DebugCheckpointPayload[StateT], _DebugTaskPayload, _DebugTaskResultPayload],
    type_params=(StateT,),
)
"""A checkpoint, task or task result with its superstep and ISO 8601 time."""


class ValuesStreamPart(TypedDict, Generic[ResultT]):
    """The state after a superstep, and the interrupts it waits for."""

    type: Literal["values"]
    ns: tuple[str, ...]
    data: ResultT
    interrupts: tuple[Interrupt[Any], ...]


class UpdatesStreamPart(TypedDict):
    """What one node wrote, by its name."""

    type: Literal["updates"]
    ns: tuple[str, ...]
    data: dict[str, Any]


class MessagesStreamPart(TypedDict):
    """A message or a piece of one, and where it comes from."""

    type: Literal["messages"]
    ns: tuple[str, ...]
    data: tuple[AnyMessage, dict[str, Any]]


class CustomStreamPart(TypedDict):
    """What a node gave to its stream writer."""

    type: Literal["custom"]
    ns: tuple[str, ...]
    data: Any


class CheckpointStreamPart(TypedDict, Generic[StateT]):
    """A checkpoint that was made."""

    type: Literal["checkpoints"]
    ns: tuple[str, ...]
    data: CheckpointPayload[StateT]


class TasksStreamPart(TypedDict):
    """A task that started or ended."""

    type: Literal["tasks"]
    ns: tuple[str, ...]
    data: TaskPayload | TaskResultPayload


class _ToolStarted(TypedDict):
    event: Literal["tool-started"]
    tool_call_id: str
    tool_name: str
    input: Any


class _ToolOutputDelta(TypedDict):
    event: Literal["tool-output-delta"]
    tool_call_id: str
    delta: Any


class _ToolFinished(TypedDict):
    event: Literal["tool-finished"]
    tool_call_id: str
    output: Any


class _ToolError(TypedDict):
    event: Literal["tool-error"]
    tool_call_id: str
    message: str


ToolsPayload: TypeAlias = Union[_ToolStarted, _ToolOutputDelta, _ToolFinished, _ToolError]
"""What a tool call does; `event` tells the kinds apart."""


class ToolsStreamPart(TypedDict):
    """A tool call that started, said something, ended or failed."""

    type: Literal["tools"]
    ns: tuple[str, ...]
    data: ToolsPayload


class DebugStreamPart(TypedDict, Generic[StateT]):
    """A checkpoint or task event with its superstep and time."""

    type: Literal["debug"]
    ns: tuple[str, ...]
    data: DebugPayload[StateT]


StreamPart = TypeAliasType(
    "StreamPart",
    Union[
        ValuesStreamPart[OutputT],
        UpdatesStreamPart,
        MessagesStreamPart,
        CustomStreamPart,
        CheckpointStreamPart[StateT],
        TasksStreamPart,
        ToolsStreamPart,
        DebugStreamPart[StateT],
    ],
    type_params=(StateT, OutputT),
)
"""What `stream(version="v2")` yields; `type` tells the kinds apart."""

for _public in (
    CheckpointPayload,
    CheckpointStreamPart,
    CheckpointTask,
    CustomStreamPart,
    DebugStreamPart,
    MessagesStreamPart,
    TaskPayload,
    TaskResultPayload,
    TasksStreamPart,
    UpdatesStreamPart,
    ValuesStreamPart,
):
    _public.__module__ = "millstream.types"
