"""Bodies and queries about threads and their state."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from langchain_core.utils.uuid import uuid7
from pydantic import Field

from millstream.server.api.bodies.base import (
    Body,
    JsonObject,
    Limit,
    ListOf,
    Minutes,
    Offset,
    Query,
)
from millstream.server.api.bodies.runs import CommandBody

Status = Literal["idle", "busy", "interrupted", "error"]
Key = Literal[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "status",
    "values",
    "interrupts",
    "error",
]
Strategy = Literal["delete", "keep_latest"]


class Ttl(Body):
    """How long a thread stays that nobody touches."""

    ttl: Minutes | None = None
    """Minutes."""
    strategy: Strategy = "delete"


class SuperstepUpdate(Body):
    """What a node is to have written."""

    as_node: str
    values: Any = None
    command: CommandBody | None = None


class Superstep(Body):
    """What is written in one step."""

    updates: ListOf[SuperstepUpdate]


class ThreadCreate(Body):
    """A new thread."""

    thread_id: str = Field(default_factory=lambda: str(uuid7()))
    metadata: JsonObject = Field(default_factory=dict)
    graph_id: str | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: Ttl | None = None
    supersteps: ListOf[Superstep] = Field(default_factory=list)


class ThreadPatch(Body):
    """What is to be different about a thread."""

    metadata: JsonObject = Field(default_factory=dict)
    ttl: Ttl | None = None


class ThreadCount(Body):
    """Which threads are meant."""

    metadata: JsonObject = Field(default_factory=dict)
    values: JsonObject = Field(default_factory=dict)
    status: Status | None = None


class ThreadSearch(ThreadCount):
    """Which threads are wanted, and what of them."""

    ids: ListOf[str] | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = (
        "created_at"
    )
    sort_order: Literal["asc", "desc"] = "desc"
    select: ListOf[Key] | None = None
    extract: Annotated[dict[str, str], Field(max_length=10)] = Field(default_factory=dict)


class ThreadPrune(Body):
    """Which threads are to be made smaller, or deleted."""

    thread_ids: ListOf[str]
    strategy: Strategy = "delete"


class ThreadQuery(Query):
    """What is wanted besides."""

    include: ListOf[str] = Field(default_factory=list)


class Checkpoint(Body):
    """A place in the history of a thread; the newest, if it names none."""

    thread_id: str | None = None
    checkpoint_ns: str = ""
    checkpoint_id: str | None = None
    checkpoint_map: JsonObject | None = None


class StateUpdate(Body):
    """What is to be written to the state of a thread."""

    values: Any = None
    as_node: str | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None


class StateRequest(Body):
    """Which state is wanted."""

    checkpoint: Checkpoint
    subgraphs: bool = False


class History(Body):
    """Which states of a thread are wanted."""

    limit: Limit = 1
    before: JsonObject | None = None
    metadata: JsonObject = Field(default_factory=dict)
    checkpoint: Checkpoint | None = None


class StateQuery(Query):
    """Whether the states of subgraphs are wanted too."""

    subgraphs: bool = False


class HistoryQuery(Query):
    """Which states of a thread are wanted."""

    limit: Limit = 1
    before: str | None = None
