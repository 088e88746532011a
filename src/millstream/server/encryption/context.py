"""For whom something is stored: what the handlers are told of it, however far from the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

_context: ContextVar[Mapping[str, Any] | None] = ContextVar("millstream_sealing", default=None)


def sealing_context() -> dict[str, Any]:
    """Return what handlers are told of who asks for what goes on here."""
    return dict(_context.get() or {})


def enter_context(context: Mapping[str, Any] | None) -> None:
    """Have what follows, in this task, done in a context."""
    _context.set(context or None)


def bound(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function that is called elsewhere, in the context of who asks for it here."""
    context = _context.get()

    def call(*args: Any) -> T:
        token = _context.set(context)
        try:
            return function(*args)
        finally:
            _context.reset(token)

    return call
