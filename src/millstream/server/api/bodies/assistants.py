"""Bodies and queries about assistants."""

from __future__ import annotations

from typing import Literal

from langchain_core.utils.uuid import uuid7
from pydantic import Field

from millstream.server.api.bodies.base import (
    MAX_INTEGER,
    Body,
    JsonObject,
    Limit,
    ListOf,
    Offset,
    Query,
)

Key = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]
Order = Literal["asc", "desc"]


class AssistantCreate(Body):
    """A new assistant."""

    graph_id: str
    assistant_id: str = Field(default_factory=lambda: str(uuid7()))
    config: JsonObject = Field(default_factory=dict)
    context: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    name: str = "Untitled"
    description: str | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"


class AssistantPatch(Body):
    """What is to be different about an assistant."""

    graph_id: str | None = None
    config: JsonObject | None = None
    context: JsonObject | None = None
    metadata: JsonObject | None = None
    name: str | None = None
    description: str | None = None


class AssistantCount(Body):
    """Which assistants are meant."""

    metadata: JsonObject = Field(default_factory=dict)
    graph_id: str | None = None
    name: str | None = None


class AssistantSearch(AssistantCount):
    """Which assistants are wanted, and what of them."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"] = "created_at"
    sort_order: Order = "desc"
    select: ListOf[Key] | None = None


class VersionSearch(Body):
    """Which versions of an assistant are wanted."""

    metadata: JsonObject = Field(default_factory=dict)
    limit: Limit = 10
    offset: Offset = 0


class VersionChange(Body):
    """The version that an assistant is to have."""

    version: int = Field(ge=-MAX_INTEGER, le=MAX_INTEGER)


class DeleteQuery(Query):
    """What else is deleted with an assistant."""

    delete_threads: bool = False


class DrawingQuery(Query):
    """How far subgraphs are opened."""

    xray: str = ""

    @property
    def depth(self) -> int | bool:
        """Return `xray` as graphs understand it."""
        text = self.xray.lower()
        if text.isdecimal():
            return int(text[:3])  # no graph is deeper
        return text in ("true", "yes", "on", "t", "y")


class SubgraphsQuery(Query):
    """Whether subgraphs of subgraphs are wanted."""

    recurse: bool = False
