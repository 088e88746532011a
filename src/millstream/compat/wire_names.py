"""Giving classes the names LangGraph's have, where these are written down.

Serializers of checkpoints write the module of a class, and read only some names without complaint;
drawings show it as the `id` of a node. So in a process that calls `install_as_langgraph` these
classes say that they are from `langgraph`. Graphs would not need it, because they put `wire` in
front of their saver; programs that use a serializer themselves do.

A pickle of an instance still has millstream's name in it, because its reader may be a process in
which `langgraph` is another package or does not exist.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ClassVar, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

from millstream import types
from millstream._types.send import N
from millstream.wire import WIRE_MODULE

_OF_TYPES: Final = (
    "Command",
    "Interrupt",
    "Overwrite",
    "PregelTask",
    "Send",
    "StateSnapshot",
    "TimeoutPolicy",
)

_IN_HINTS: Final = {
    "CheckpointMetadata": CheckpointMetadata,
    "ClassVar": ClassVar,
    "N": N,
    "RunnableConfig": RunnableConfig,
    "Sequence": Sequence,
}
"""Names in the type hints of these classes that `millstream.types` does without."""


def apply_to(module: ModuleType) -> None:
    """Rename the classes of a module that now has a name in `langgraph` too."""
    if module is types:
        # Type hints are looked up in the module that a class says it is from.
        vars(types).update(_IN_HINTS)
        for name in _OF_TYPES:
            cls = getattr(types, name)
            cls.__module__ = WIRE_MODULE
            copyreg.pickle(cls, _reduced)
    else:
        module.RunnableCallable.__module__ = "langgraph._internal._runnable"


def new(name: str, *args: Any) -> Any:
    """Return a bare instance of a class in `millstream.types`, for pickle to fill."""
    cls = getattr(types, name)
    return cls.__new__(cls, *args)


def _reduced(instance: Any) -> tuple[Any, ...]:
    _, (cls, *args), *rest = instance.__reduce_ex__(2)
    make: Callable[..., Any] = new
    return make, (cls.__name__, *args), *rest
