"""Functions that make a graph: what they are given, and how long what they make is there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    contextmanager,
)
from typing import Any

from millstream.cli.event_loop import EventLoop
from millstream.cli.failures import UsageError, reason
from millstream.cli.installing import installing

_ASKED = "config, runtime or user"


@contextmanager
def made(
    factory: Callable[..., Any], target: str, config: Mapping[str, Any], loop: EventLoop
) -> Iterator[Any]:
    """Lend what a function makes, as the server has it made: it may be async, and a context.

    An async function runs in the loop, and what it makes stays there.
    """
    positional, named = _arguments(factory, target, config)
    with ExitStack() as stack:
        try:
            value = factory(*positional, **named)
            if inspect.isawaitable(value):
                value = loop.run(value)
            if not hasattr(value, "get_graph"):
                value = _entered(value, stack, loop)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{target} failed when called: {reason(error)}") from error
        yield value


def _entered(value: Any, stack: ExitStack, loop: EventLoop) -> Any:
    if isinstance(value, AbstractAsyncContextManager):
        entered = loop.run(value.__aenter__())
        stack.push(lambda *error: loop.run(value.__aexit__(*error)))
        return entered
    if isinstance(value, AbstractContextManager):
        return stack.enter_context(value)
    return value


def _arguments(
    factory: Callable[..., Any], target: str, config: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return what a function is called with; `UsageError` where it asks for something else."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    positional: list[Any] = []
    named: dict[str, Any] = {}
    unknown: list[str] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        asked = _asked(parameter)
        if asked is None:
            if parameter.default is parameter.empty:
                unknown.append(parameter.name)
            continue
        value = _runtime() if asked == "runtime" else dict(config) if asked == "config" else None
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            named[parameter.name] = value
    if unknown:
        raise UsageError(
            f"{target} needs arguments ({', '.join(unknown)}); name a function that needs none "
            f"but {_ASKED}"
        )
    return positional, named


def _asked(parameter: inspect.Parameter) -> str | None:
    """Return which of the things that factories may ask for a parameter stands for."""
    annotation = str(parameter.annotation)
    if parameter.name == "runtime" or "Runtime" in annotation:
        return "runtime"
    if parameter.name == "user":
        return "user"
    is_config = parameter.name.strip("_") in ("config", "cfg") or "RunnableConfig" in annotation
    return "config" if is_config else None


def _runtime() -> Any:
    try:
        # What factories find in the annotations of their parameters.
        from langgraph_sdk.runtime import _ExecutionRuntime
    except ImportError as error:
        raise UsageError(
            f"a runtime for the function needs langgraph_sdk: {installing('millstream[remote]')}"
        ) from error
    given: dict[str, Any] = {"user": None, "store": None, "context": None}
    return _ExecutionRuntime(access_context="threads.create_run", **given)
