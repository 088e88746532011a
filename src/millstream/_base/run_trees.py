"""Runs as LangChain's callback handlers know them.

One is LangSmith's current one, in code that a graph calls.
`get_current_run_tree` gives it, and it is the parent of `@traceable` functions. LangChain sets it
for what its own runnables call.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseRunManager
    from langchain_core.callbacks.manager import (
        AsyncCallbackManagerForChainRun,
        CallbackManagerForChainRun,
    )

NodeRun: TypeAlias = "CallbackManagerForChainRun | AsyncCallbackManagerForChainRun"
"""The run of a graph, or of a node, in LangChain's callbacks."""


@contextmanager
def inside(run: BaseRunManager) -> Iterator[None]:
    """Have this run as LangSmith's current one, if LangSmith hears of it."""
    tree = _tree_of(run)
    if tree is None:
        yield
        return
    # Slow to import, and loaded with the tracer.
    from langsmith.run_helpers import _set_tracing_context, get_current_run_tree

    before = get_current_run_tree()
    _set_tracing_context({"parent": tree})
    try:
        yield
    finally:
        # For a second attempt of a node, which must not be taken for a part of the first.
        _set_tracing_context({"parent": before})


def _tree_of(run: BaseRunManager) -> Any:
    """Return what LangSmith's tracer has made of a run, None if there is no such tracer."""
    tracers = sys.modules.get("langchain_core.tracers.langchain")
    # Another thread may be about to import it: then there is no tracer of its kind yet.
    kind = getattr(tracers, "LangChainTracer", None)
    if kind is None:
        return None
    for handler in run.handlers:
        if isinstance(handler, kind):
            return handler.run_map.get(str(run.run_id))
    return None
