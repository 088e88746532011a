"""Bodies and queries about the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, PrivateAttr

from millstream.server.api.bodies.base import (
    MAX_INTEGER,
    Asked,
    Body,
    JsonObject,
    Limit,
    ListOf,
    Minutes,
    Offset,
    Query,
)

_NAMESPACES: Final = ("namespace", "namespace_prefix", "prefix")


class InNamespace(Asked):
    """What is about a namespace: handlers may put another in its place."""

    _namespace: tuple[str, ...] | None = PrivateAttr(None)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Return the namespace."""
        return self._own() if self._namespace is None else self._namespace

    def _own(self) -> tuple[str, ...] | None:
        raise NotImplementedError

    def asked(self) -> dict[str, Any]:
        """Return what a handler is given of it."""
        return {**super().asked(), "namespace": self.labels}

    def take(self, value: Mapping[str, Any]) -> None:
        """Be what a handler has made of that."""
        for name in type(self).model_fields:
            if name in value and name not in _NAMESPACES:
                self._put(name, value[name])
        if value.get("namespace") is not None:
            self._namespace = tuple(map(str, value["namespace"]))


class ItemPut(InNamespace, Body):
    """A value to be kept."""

    namespace: ListOf[str]
    key: str
    value: JsonObject
    index: Literal[False] | ListOf[str] | None = None
    ttl: Minutes | None = None

    def _own(self) -> tuple[str, ...]:
        return tuple(self.namespace)


class ItemDelete(InNamespace, Body):
    """The value that is not to be kept any longer."""

    namespace: ListOf[str] = Field(default_factory=list)
    key: str

    def _own(self) -> tuple[str, ...]:
        return tuple(self.namespace)


class ItemQuery(InNamespace, Query):
    """The value that is wanted."""

    namespace: str = ""
    key: str
    refresh_ttl: bool | None = None

    def _own(self) -> tuple[str, ...]:
        return tuple(self.namespace.split(".")) if self.namespace else ()


class ItemSearch(InNamespace, Body):
    """Which values are wanted."""

    namespace_prefix: ListOf[str] = Field(default_factory=list)
    filter: JsonObject | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = None
    refresh_ttl: bool | None = None

    def _own(self) -> tuple[str, ...]:
        return tuple(self.namespace_prefix)


class NamespaceSearch(InNamespace, Body):
    """Which namespaces are wanted."""

    prefix: ListOf[str] | None = None
    suffix: ListOf[str] | None = None
    max_depth: int | None = Field(None, ge=1, le=MAX_INTEGER)
    limit: Limit = 100
    offset: Offset = 0

    def _own(self) -> tuple[str, ...] | None:
        return None if self.prefix is None else tuple(self.prefix)
