"""A task as LangGraph's engine describes it to itself; here a name that programs may import."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig

    from millstream._types.policies import CacheKey, RetryPolicy, TimeoutPolicy


class _WeakReferable:
    __slots__ = ("__weakref__",)


@dataclass(frozen=True, slots=True)
class PregelExecutableTask(_WeakReferable):
    """One task of a superstep with all that is needed to run it."""

    name: str
    input: Any
    proc: Runnable[Any, Any]
    writes: deque[tuple[str, Any]]
    config: RunnableConfig
    triggers: Sequence[str]
    retry_policy: Sequence[RetryPolicy]
    cache_key: CacheKey | None
    id: str
    path: tuple[str | int | tuple[Any, ...], ...]
    writers: Sequence[Runnable[Any, Any]] = ()
    subgraphs: Sequence[Any] = ()
    timeout: TimeoutPolicy | None = None


PregelExecutableTask.__module__ = "millstream.types"
