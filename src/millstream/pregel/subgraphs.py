"""Finding the graphs that a node runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence

from millstream.pregel.protocol import PregelProtocol
from millstream.runnable import RunnableCallable, plain_code


def find_subgraph(bound: Runnable[Any, Any]) -> PregelProtocol[Any, Any, Any, Any] | None:
    """Return the graph a node is, contains or calls by a name it can see; None if there is none.

    A graph that a function gets as an argument, or takes from inside another object, is not found.
    """
    candidates: list[Any] = [bound]
    for candidate in candidates:
        # First, because nearly every node is one and each of the other checks costs more.
        if isinstance(candidate, RunnableCallable):
            for func in (candidate.func, candidate.afunc):
                if func is not None:
                    candidates += _visible_runnables(func)
        elif isinstance(candidate, PregelProtocol):
            if getattr(candidate, "checkpointer", None) is not False:
                return candidate
        elif isinstance(candidate, RunnableSequence):
            candidates += candidate.steps
        elif isinstance(candidate, RunnableLambda):
            candidates += candidate.deps
    return None


def _visible_runnables(func: Callable[..., Any]) -> Iterator[Any]:
    """Yield the runnables a function refers to by a global or enclosing name."""
    code = plain_code(func)
    if code is None:
        func = inspect.unwrap(func)
        code = getattr(func, "__code__", None)
    if code is None:
        return
    module = getattr(func, "__globals__", {})
    for name in code.co_names:
        if isinstance(value := module.get(name), Runnable):
            yield value
    for cell in getattr(func, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if isinstance(value, Runnable):
            yield value
