"""How the function of a `@task` is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from millstream._base.runnable import injected_parameters, is_async_callable


class Injector(Protocol):
    """What knows the values of parameters that functions have injected."""

    def injected(self, name: str) -> Any:
        """Return the value of such a parameter."""


class FunctionCall:
    """How the function of a `@task` is called: with its own arguments, and what it wants injected.

    An argument the caller gave is not injected.
    """

    __slots__ = ("_func", "_injected", "has_async")

    steps: ClassVar[tuple[Any, ...]] = ()
    simple: ClassVar[None] = None
    asimple: ClassVar[None] = None
    may_block: ClassVar[bool] = True

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self._injected = injected_parameters(func, has_input=False)
        self.has_async = is_async_callable(func)

    @property
    def target(self) -> Callable[..., Any]:
        """The function behind the call."""
        return self._func

    def bound_arguments(self, value: Any) -> Any:
        """Return the arguments by name, as far as they fit."""
        args, kwargs = value
        try:
            # Partially: wrong arguments are the function's own error, when it is called.
            bound = inspect.signature(self._func).bind_partial(*args, **kwargs)
            bound.apply_defaults()
            return dict(bound.arguments)
        except (TypeError, ValueError):
            return {"args": args, "kwargs": kwargs}

    def call(self, value: Any, context: Injector) -> Any:
        """Call it in this thread."""
        args, kwargs = value
        return self._func(*args, **self._completed(kwargs, context))

    def acall(self, value: Any, context: Injector) -> Awaitable[Any]:
        """Return what is to be awaited."""
        awaitable: Awaitable[Any] = self.call(value, context)
        return awaitable

    def returned(self, result: Any) -> None:
        """Return None: what a call returns is its result, whatever it is."""

    def _completed(self, kwargs: dict[str, Any], context: Injector) -> dict[str, Any]:
        if not self._injected:
            return kwargs
        return {**{name: context.injected(name) for name in self._injected}, **kwargs}
