"""`langgraph.pregel._algo`: what servers import that run nodes in other processes.

Such a server needs LangGraph's own engine for that. Importing it works, for servers that only might
do so; running a node in this way does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from millstream.compat.engine import absent
from millstream.drivers.reserved_keys import LazyAtomicCounter

__all__ = ("LazyAtomicCounter", "PregelTaskWrites", "local_read")


class PregelTaskWrites(NamedTuple):
    """What one task wrote."""

    path: tuple[str | int | tuple[Any, ...], ...]
    name: str
    writes: Sequence[tuple[str, Any]]
    triggers: Sequence[str]


local_read = absent("langgraph.pregel._algo", "local_read")
_proc_input = absent("langgraph.pregel._algo", "_proc_input")
_scratchpad = absent("langgraph.pregel._algo", "_scratchpad")
