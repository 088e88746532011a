"""Bodies and queries about the store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from millstream.server.api.bodies.base import Body, JsonObject, Limit, Offset, Query


class ItemPut(Body):
    """A value to be kept."""

    namespace: list[str]
    key: str
    value: JsonObject
    index: Literal[False] | list[str] | None = None
    ttl: float | None = Field(None, gt=0)


class ItemDelete(Body):
    """The value that is not to be kept any longer."""

    namespace: list[str] = Field(default_factory=list)
    key: str


class ItemQuery(Query):
    """The value that is wanted."""

    namespace: str = ""
    key: str
    refresh_ttl: bool | None = None


class ItemSearch(Body):
    """Which values are wanted."""

    namespace_prefix: list[str] = Field(default_factory=list)
    filter: JsonObject | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = None
    refresh_ttl: bool | None = None


class NamespaceSearch(Body):
    """Which namespaces are wanted."""

    prefix: list[str] | None = None
    suffix: list[str] | None = None
    max_depth: int | None = Field(None, ge=1)
    limit: Limit = 100
    offset: Offset = 0
