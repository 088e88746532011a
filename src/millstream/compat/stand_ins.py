"""Small things of LangGraph's modules that are named by who imports them, and used little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import Runnable

from millstream._types.policies import KeyFuncT
from millstream._types.send import N
from millstream.callbacks import (
    GraphCallbackHandler,
    _AsyncGraphCallbackManager,
    _GraphCallbackManager,
)
from millstream.pregel._structure.nodes import PASSTHROUGH
from millstream.runtime import Runtime
from millstream.types import TimeoutPolicy
from millstream.typing import ContextT, NodeInputT

__all__ = (
    "DEFAULT_BOUND",
    "EXCLUDED_METADATA_KEYS",
    "TASK_NAMESPACE",
    "GraphCallbacks",
    "KeyFuncT",
    "N",
    "P",
    "R",
    "S",
    "StateNode",
    "SyncAsyncFuture",
    "T",
    "U",
    "coerce_timeout_policy",
)

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")

DEFAULT_BOUND: Final = PASSTHROUGH
TASK_NAMESPACE: Final = UUID("6ba7b831-9dad-11d1-80b4-00c04fd430c8")
EXCLUDED_METADATA_KEYS: Final = {
    "checkpoint_id",
    "checkpoint_map",
    "checkpoint_ns",
    "langgraph_checkpoint_ns",
    "langgraph_node",
    "langgraph_path",
    "langgraph_step",
    "langgraph_triggers",
    "thread_id",
}

GraphCallbacks: TypeAlias = (
    _GraphCallbackManager
    | _AsyncGraphCallbackManager
    | BaseCallbackManager
    | GraphCallbackHandler
    | Sequence[BaseCallbackHandler]
    | Sequence[GraphCallbackHandler]
)
StateNode: TypeAlias = (
    Callable[[NodeInputT], Any]
    | Callable[[NodeInputT, Runtime[ContextT]], Any]
    | Runnable[NodeInputT, Any]
)

coerce_timeout_policy = TimeoutPolicy.coerce


class SyncAsyncFuture(Future[T], Generic[T]):
    """What a call of a task gives, for annotations: the engine's futures are Python's own."""
