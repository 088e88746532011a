"""What a scenario saw, as JSON that does not depend on where classes live."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Iterable, Mapping
from enum import Enum
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel


class Recorder:
    """Takes what a play sees, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __call__(self, label: str, value: Any) -> None:
        """Note `value`."""
        self.events.append((label, plain(value)))

    def all(self, label: str, items: Iterable[Any]) -> None:
        """Note each of `items` when it comes."""
        for item in items:
            self(label, item)

    async def all_async(self, label: str, items: AsyncIterable[Any]) -> None:
        """Note each of `items` when it comes."""
        async for item in items:
            self(label, item)


class Silent(Recorder):
    """Takes everything and notes nothing, for timing."""

    def __call__(self, label: str, value: Any) -> None:
        """Forget `value`."""


def plain(value: Any) -> Any:
    """Return `value` as JSON would have it: classes by their bare names, sets sorted."""
    if value is None or (isinstance(value, (bool, int, float, str)) and not _is_enum(value)):
        return value
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return {"<error>": type(value).__name__, "text": str(value)}
    if isinstance(value, type):
        return f"<class {value.__name__}>"
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {"<type>": type(value).__name__, **plain(value._asdict())}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(inner) for inner in value), key=str)
    return _object(value)


def _is_enum(value: Any) -> bool:
    return isinstance(value, Enum)


def _object(value: Any) -> Any:
    kind = type(value).__name__
    if isinstance(value, Enum):
        return f"<{kind}.{value.name}>"
    if isinstance(value, BaseMessage):
        fields = {name: getattr(value, name) for name in type(value).model_fields if name != "type"}
        shown = {name: field for name, field in fields.items() if field or name == "content"}
        return {"<message>": kind, **plain(shown)}
    if isinstance(value, BaseModel):
        return {"<type>": kind, **plain(value.model_dump())}
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        slots = getattr(type(value), "__slots__", ())
        names = [] if isinstance(slots, str) else [name for name in slots if hasattr(value, name)]
    if not names or callable(value):
        return f"<{kind}>"
    return {"<type>": kind, **{name: plain(getattr(value, name)) for name in names}}
