"""`langgraph.pregel._algo`: what servers import that run nodes in other processes.

Such a server needs LangGraph's own engine for that. Importing it works, for servers that only might
do so; running a node in this way does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

__all__ = ("PregelTaskWrites", "local_read")


class PregelTaskWrites(NamedTuple):
    """What one task wrote."""

    path: tuple[str | int | tuple[Any, ...], ...]
    name: str
    writes: Sequence[tuple[str, Any]]
    triggers: Sequence[str]


def local_read(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise `NotImplementedError`."""
    raise _no_such_function("local_read")


def _proc_input(*args: Any, **kwargs: Any) -> NoReturn:
    raise _no_such_function("_proc_input")


def _scratchpad(*args: Any, **kwargs: Any) -> NoReturn:
    raise _no_such_function("_scratchpad")


def _no_such_function(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"langgraph.pregel._algo.{name} is a part of LangGraph's engine, which millstream does not "
        "have; run graphs by their methods"
    )
