"""Bodies and queries of requests about runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from millstream.server.api.bodies.base import Body, JsonObject, Limit, ListOf, Offset, Query
from millstream.server.runs.multitask import Strategy
from millstream.server.runs.turns import LEAST_URGENT, MOST_URGENT

StreamMode = Literal[
    "values",
    "messages",
    "messages-tuple",
    "tasks",
    "checkpoints",
    "updates",
    "events",
    "debug",
    "custom",
    "tools",
    "lifecycle",
    "steps",
]
Breakpoints = Literal["*"] | ListOf[str]
CancelAction = Literal["interrupt", "rollback"]
RunState = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
_OF_A_RUN: Final = (
    "assistant_id",
    "metadata",
    "multitask_strategy",
    "if_not_exists",
    "after_seconds",
    "priority",
)
YEAR: Final = 366 * 24 * 3600


def _by_default() -> list[StreamMode]:
    return ["values"]


class SendBody(Body):
    """A node that a command goes to, and what it is given."""

    node: str
    input: Any = None


class CommandBody(Body):
    """An answer to a question, an update, where to go."""

    update: JsonObject | list[Any] | None = None
    resume: Any = None
    goto: str | SendBody | ListOf[str | SendBody] | None = None


class RunCreate(Body):
    """A run that is asked for."""

    assistant_id: str
    input: Any = None
    command: CommandBody | None = None
    checkpoint: JsonObject | None = None
    checkpoint_id: str | None = None
    metadata: JsonObject = Field(default_factory=dict)
    config: JsonObject = Field(default_factory=dict)
    context: JsonObject = Field(default_factory=dict)
    webhook: str | None = None
    interrupt_before: Breakpoints | None = None
    interrupt_after: Breakpoints | None = None
    stream_mode: ListOf[StreamMode] = Field(default_factory=_by_default)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    feedback_keys: ListOf[str] | None = None
    multitask_strategy: Strategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: Annotated[float, Field(ge=0, le=YEAR, allow_inf_nan=False)] = 0
    priority: Annotated[int, Field(ge=MOST_URGENT, le=LEAST_URGENT, strict=True)] = 0
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    durability: Literal["sync", "async", "exit"] | None = None
    checkpoint_during: bool | None = None

    def asked(self) -> dict[str, Any]:
        """Return what a handler is given of it: the run that there will be."""
        return {
            **{name: getattr(self, name) for name in _OF_A_RUN},
            "run_id": None,
            "status": "pending",
            "prevent_insert_if_inflight": self.multitask_strategy == "reject",
            "kwargs": {name: getattr(self, name) for name in self._in_kwargs()},
        }

    def take(self, value: Mapping[str, Any]) -> None:
        """Be what a handler has made of that."""
        for name in _OF_A_RUN:
            if name in value and name != "assistant_id":
                self._put(name, value[name])
        for name in self._in_kwargs():
            if name in value.get("kwargs", ()):
                self._put(name, value["kwargs"][name])

    @classmethod
    def _in_kwargs(cls) -> list[str]:
        return [name for name in cls.model_fields if name not in _OF_A_RUN]

    @field_validator("stream_mode", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        if isinstance(given, str):
            return [given]
        # None at all is what most clients mean by it.
        return given or ["values"]


class RunListQuery(Query):
    """Which runs of a thread are listed, and what of them."""

    limit: Limit = 10
    offset: Offset = 0
    status: RunState | None = None
    select: ListOf[str] = Field(default_factory=list)


class WaitQuery(Query):
    """How a run is waited for."""

    cancel_on_disconnect: bool = False


class JoinQuery(WaitQuery):
    """What is read of a run's stream."""

    stream_mode: ListOf[str] = Field(default_factory=list)
    # Of `Location`, for clients that have no id yet; the header goes before it.
    last_event_id: str | None = None


class CancelQuery(Query):
    """How a run is cancelled."""

    wait: bool = False
    action: CancelAction = "interrupt"


class CancelManyQuery(Query):
    """How many runs are cancelled."""

    action: CancelAction = "interrupt"


class CancelMany(Body):
    """Which runs are cancelled: those of a status, or some of a thread."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: str | None = None
    run_ids: ListOf[str] | None = None


class ThreadStreamQuery(Query):
    """What is read of a thread's stream. Clients send the one, and servers read the other."""

    stream_modes: ListOf[str] = Field(default_factory=list)
    stream_mode: ListOf[str] = Field(default_factory=list)
