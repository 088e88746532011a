"""What a program may decide about one node: retries, timeouts, caching, tracing."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, Literal, NamedTuple

from typing_extensions import TypeVar

__all__ = (
    "CacheKey",
    "CachePolicy",
    "RetryPolicy",
    "TimeoutPolicy",
    "TracePolicy",
    "default_cache_key",
    "default_retry_on",
    "omit_payload",
)

KeyFuncT = TypeVar("KeyFuncT", bound="Callable[..., str | bytes]")

# Failures that the same call would meet again.
_PERMANENT: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    ImportError,
    LookupError,
    NameError,
    SyntaxError,
    RuntimeError,
    ReferenceError,
    StopIteration,
    StopAsyncIteration,
    OSError,
)


def default_retry_on(exc: BaseException) -> bool:
    """Whether trying again may help: connection errors, server errors, unknown failures.

    Not retried are programming errors, `OSError`s other than `ConnectionError`, and responses of
    httpx whose status is below 500.
    """
    if isinstance(exc, ConnectionError):
        return True
    # An exception of a library that nobody imported cannot be on its way.
    httpx = sys.modules.get("httpx")
    if httpx is not None and isinstance(exc, httpx.HTTPStatusError):
        return bool(500 <= exc.response.status_code < 600)
    requests = sys.modules.get("requests")
    if requests is not None and isinstance(exc, requests.HTTPError):
        # A response of requests is falsy for every status from 400 on, so all of them are
        # retried; programs that meet rate limits (429) have come to rely on it.
        return not exc.response or 500 <= exc.response.status_code < 600
    return not isinstance(exc, _PERMANENT)


class RetryPolicy(NamedTuple):
    """Say which failures of a node are tried again, how often and after how long.

    When no attempt is left, the last failure is the node's. What an attempt wrote before it failed
    is forgotten, what it streamed has been seen.

    Args:
        initial_interval: Seconds before the second attempt.
        backoff_factor: What each further delay is multiplied by.
        max_interval: The longest delay in seconds.
        max_attempts: Attempts in all, the first one included.
        jitter: Whether up to one second is added to each delay at random.
        retry_on: Exception classes, or a function that decides. `default_retry_on` tries again
            what may be better next time, such as connection and server errors, and no
            programming errors.

    Example:
        >>> from typing_extensions import TypedDict
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import RetryPolicy
        >>> class State(TypedDict):
        ...     attempts: int
        >>> attempts = []
        >>> def fetch(state: State) -> State:
        ...     attempts.append(1)
        ...     if len(attempts) == 1:
        ...         raise ConnectionError("not now")
        ...     return {"attempts": len(attempts)}
        >>> policy = RetryPolicy(initial_interval=0.01, jitter=False)
        >>> builder = StateGraph(State).add_node(fetch, retry_policy=policy)
        >>> builder.add_edge(START, "fetch").compile().invoke({"attempts": 0})
        {'attempts': 2}
    """

    initial_interval: float = 0.5
    """Delay before the second attempt."""
    backoff_factor: float = 2.0
    """What each further delay is multiplied by."""
    max_interval: float = 128.0
    """Longest delay."""
    max_attempts: int = 3
    """Attempts in all, the first one included."""
    jitter: bool = True
    """Whether up to one second is added to each delay at random."""
    retry_on: type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool] = (
        default_retry_on
    )
    """Exception classes, or a function that decides."""


def _seconds(limit: float | timedelta | None, field: str) -> float | None:
    if limit is None:
        return None
    seconds = limit.total_seconds() if isinstance(limit, timedelta) else float(limit)
    if seconds <= 0:
        raise ValueError(f"{field} must be greater than 0")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutPolicy:
    """Say how long one attempt of a node may take, in all and without a sign of progress.

    An attempt that takes longer is cancelled and fails with `NodeTimeoutError`, which a
    `RetryPolicy` may try again. For async nodes and tasks: threads cannot be cancelled.

    Args:
        run_timeout: Limit of the whole attempt: seconds or a `timedelta`.
        idle_timeout: Limit since the last sign of progress.
        refresh_on: What is a sign of progress: with `auto` every item of a writer, event among
            LangChain's callbacks, call of a `@task` and end of a node, in nested graphs and tasks
            too; with `heartbeat` only `runtime.heartbeat()`.

    Raises:
        ValueError: From whatever takes the policy, for a limit that is not positive.

    Example:
        >>> import asyncio
        >>> from typing_extensions import TypedDict
        >>> from millstream.errors import NodeTimeoutError
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import TimeoutPolicy
        >>> class State(TypedDict):
        ...     done: bool
        >>> async def wait(state: State) -> State:
        ...     await asyncio.sleep(60)
        ...     return {"done": True}
        >>> builder = StateGraph(State).add_node(wait, timeout=TimeoutPolicy(run_timeout=0.01))
        >>> graph = builder.add_edge(START, "wait").compile()
        >>> try:
        ...     asyncio.run(graph.ainvoke({"done": False}))
        ... except NodeTimeoutError:
        ...     print("took too long")
        took too long
    """

    run_timeout: float | timedelta | None = None
    """Limit of the whole attempt; seconds when it is a number."""
    idle_timeout: float | timedelta | None = None
    """Limit since the last sign of progress; seconds when it is a number."""
    refresh_on: Literal["auto", "heartbeat"] = "auto"
    """What is a sign of progress: with `auto` every item of a writer, event among LangChain's
    callbacks, call of a `@task` and end of a node, in nested graphs and tasks too; or only
    `runtime.heartbeat()`."""

    @classmethod
    def coerce(cls, value: float | timedelta | TimeoutPolicy | None) -> TimeoutPolicy | None:
        """Return a policy whose limits are seconds, `None` when nothing is limited.

        A number or `timedelta` limits the whole attempt. Raises `ValueError` for a limit that is
        not positive.
        """
        if value is None:
            return None
        if not isinstance(value, TimeoutPolicy):
            return cls(run_timeout=_seconds(value, "run_timeout"))
        if value.refresh_on not in ("auto", "heartbeat"):
            raise ValueError("refresh_on must be 'auto' or 'heartbeat'")
        run_timeout = _seconds(value.run_timeout, "run_timeout")
        idle_timeout = _seconds(value.idle_timeout, "idle_timeout")
        if run_timeout is None and idle_timeout is None:
            return None
        return cls(run_timeout=run_timeout, idle_timeout=idle_timeout, refresh_on=value.refresh_on)


def default_cache_key(*args: Any, **kwargs: Hashable) -> bytes:
    """Return the arguments pickled, keywords in sorted order."""
    return pickle.dumps((args, tuple(sorted(kwargs.items()))), protocol=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy(Generic[KeyFuncT]):
    """Say how the results of a node are cached.

    The graph needs a cache: `compile(cache=...)`, `@entrypoint(cache=...)`.

    Args:
        key_func: Makes the key, text or bytes, from the node's input; inputs with the same key
            share a result. The pickled input by default.
        ttl: Seconds until a result is forgotten; None keeps it.

    Example:
        >>> from typing_extensions import TypedDict
        >>> from millstream.cache.memory import InMemoryCache
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import CachePolicy
        >>> class State(TypedDict):
        ...     word: str
        >>> def shout(state: State) -> State:
        ...     print("shouting")
        ...     return {"word": state["word"].upper()}
        >>> policy = CachePolicy(key_func=lambda state: state["word"], ttl=60)
        >>> builder = StateGraph(State).add_node(shout, cache_policy=policy)
        >>> graph = builder.add_edge(START, "shout").compile(cache=InMemoryCache())
        >>> graph.invoke({"word": "mill"}), graph.invoke({"word": "mill"})
        shouting
        ({'word': 'MILL'}, {'word': 'MILL'})
    """

    key_func: KeyFuncT = default_cache_key  # type: ignore[assignment]  # no default for a variable
    """Makes the cache key from the node's input."""
    ttl: int | None = None
    """Seconds until a result is forgotten; `None` keeps it."""


class CacheKey(NamedTuple):
    """Where the writes of one task are cached, and for how many seconds."""

    ns: tuple[str, ...]
    key: str
    ttl: int | None


def omit_payload(_value: Any) -> dict[str, Any]:
    """Return an empty dict; for a `TracePolicy` that keeps payloads out of traces."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePolicy:
    """Say what traces show of a node's input and output; `None` shows all."""

    process_inputs: Callable[[Any], Any] | None = None
    process_outputs: Callable[[Any], Any] | None = None


for _public in (
    CacheKey,
    CachePolicy,
    RetryPolicy,
    TimeoutPolicy,
    TracePolicy,
    default_cache_key,
    default_retry_on,
    omit_payload,
):
    _public.__module__ = "millstream.types"
