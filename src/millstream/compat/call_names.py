"""`langgraph.pregel._call`: the names of functions."""

from __future__ import annotations

from typing import Any

__all__ = ("identifier",)


def identifier(obj: Any, name: str | None = None) -> str | None:
    """Return where a function or class can be imported from, None for any other object."""
    module = getattr(obj, "__module__", None)
    name = name or getattr(obj, "__qualname__", None)
    return f"{module}.{name}" if module and name else None
