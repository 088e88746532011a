"""Functions whose calls are tasks of the run."""

from __future__ import annotations

import copy
import functools
import operator
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from typing_extensions import ParamSpec, Self

from millstream._base.runnable import callable_name, is_async_callable
from millstream.config import get_task_context
from millstream.drivers import caching
from millstream.drivers.call_nodes import call_node
from millstream.pregel._structure.declared import as_policies
from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy
from millstream.warnings import LangGraphDeprecatedSinceV05, warn_caller

if TYPE_CHECKING:
    from datetime import timedelta

    from langgraph.cache.base import BaseCache

    from millstream.core.spec import NodeSpec
    from millstream.drivers.executor import Executor

DECLARED: Final = frozenset(
    ("__name__", "func", "retry_policy", "cache_policy", "timeout", "executor")
)
"""What a task is declared with."""

P = ParamSpec("P")
T = TypeVar("T")


class TaskFuture(Future[T]):
    """What a call of a `@task` returns, as type checkers see it.

    A `concurrent.futures.Future` in a thread of its own, an `asyncio.Future` in an event loop.
    """

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the result in an event loop."""
        raise NotImplementedError


class _TaskFunction(Generic[P, T]):
    """A function whose calls are tasks of the run, made by `@task`."""

    def __init__(
        self,
        func: Callable[P, Awaitable[T]] | Callable[P, T],
        *,
        retry_policy: Sequence[RetryPolicy] = (),
        cache_policy: CachePolicy[Any] | None = None,
        timeout: TimeoutPolicy | None = None,
        executor: Executor | None = None,
        name: str | None = None,
    ) -> None:
        functools.update_wrapper(self, func)
        self.__name__ = name or callable_name(func)
        self.func = func
        self.retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = tuple(retry_policy)
        self.cache_policy = cache_policy
        self.timeout: float | timedelta | TimeoutPolicy | None = timeout
        self.executor = executor
        assert self.node is not None  # made now: what is wrong is said where it is written

    def __repr__(self) -> str:
        return f"<task {self.__name__!r}>"

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; those that say how the function is called count from the next call."""
        object.__setattr__(self, name, value)
        if name in DECLARED:
            # It is made of these, and the next call makes it again.
            self.__dict__.pop("node", None)

    @functools.cached_property
    def node(self) -> NodeSpec:
        """What a run needs to run calls; made again when an attribute was set."""
        limit = TimeoutPolicy.coerce(self.timeout)
        if limit is not None and not is_async_callable(self.func):
            raise ValueError(
                "Node timeouts are only supported for async nodes because sync Python execution "
                f"cannot be safely cancelled in-process. Task '{self.__name__}' is sync."
            )
        return call_node(
            self.func,
            self.__name__,
            retry=as_policies(self.retry_policy),
            cache=self.cache_policy,
            timeout=limit,
            executor=self.executor,
            owner=self,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        """Start a call as a task of the run, and return its future without waiting.

        Raises `RuntimeError` outside a run, after the calling task has ended, and for an async
        function in a sync run. The future has the function's result or error.
        """
        # Whose call this is: the task whose code is running, in whatever thread.
        context = get_task_context()
        future: TaskFuture[T] = context.run.call(context, self.node, (args, kwargs))
        return future

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return its name, if it is found by that: another process has its own."""
        name, found = getattr(self, "__qualname__", ""), None
        with suppress(AttributeError, KeyError):
            found = operator.attrgetter(name)(sys.modules[self.__module__])
        return name if found is self else super().__reduce_ex__(protocol)

    # Copies are for changing them; only what is found by its name in another process is the same.

    def __copy__(self) -> Self:
        return self._with_state(self.__getstate__())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._with_state(copy.deepcopy(self.__getstate__(), memo))

    def _with_state(self, state: dict[str, Any]) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(state)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Return what it is declared with."""
        return {name: value for name, value in self.__dict__.items() if name != "node"}

    def clear_cache(self, cache: BaseCache[Any]) -> None:
        """Forget the cached results of the function, if it has a cache policy."""
        if self.cache_policy is not None:
            cache.clear((caching.call_namespace(self.func),))

    async def aclear_cache(self, cache: BaseCache[Any]) -> None:
        """Forget the cached results of the function, if it has a cache policy."""
        if self.cache_policy is not None:
            await cache.aclear((caching.call_namespace(self.func),))


@overload
def task(
    __func_or_none__: None = None,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
    cache_policy: CachePolicy[Callable[P, str | bytes]] | None = None,
    timeout: float | timedelta | TimeoutPolicy | None = None,
    executor: Executor | None = None,
    **kwargs: Any,
) -> Callable[[Callable[P, Awaitable[T]] | Callable[P, T]], _TaskFunction[P, T]]: ...


@overload
def task(__func_or_none__: Callable[P, Awaitable[T]]) -> _TaskFunction[P, T]: ...


@overload
def task(__func_or_none__: Callable[P, T]) -> _TaskFunction[P, T]: ...


def task(
    __func_or_none__: Callable[P, Awaitable[T]] | Callable[P, T] | None = None,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
    cache_policy: CachePolicy[Callable[P, str | bytes]] | None = None,
    timeout: float | timedelta | TimeoutPolicy | None = None,
    executor: Executor | None = None,
    **kwargs: Any,
) -> (
    Callable[[Callable[P, Awaitable[T]] | Callable[P, T]], _TaskFunction[P, T]]
    | _TaskFunction[P, T]
):
    """Make the calls of a function tasks of the run they are made in.

    Call it in an `@entrypoint`, a node of a graph or another task. The call returns a future at
    once, so that several can run at the same time: `.result()` it in sync code, `await` it in
    async code. With a saver the result is stored, and a run that is continued takes it from there
    instead of calling the function again. The function may have parameters `config`, `writer`,
    `store`, `runtime` and `previous`, which are injected.

    Args:
        __func_or_none__: The function, sync or async, where the decorator has no arguments.
        name: The task's name in streams and traces; the function's by default.
        retry_policy: Which failures are tried again.
        cache_policy: Reuse the result of the same arguments. The run needs a cache.
        timeout: Seconds, or a `TimeoutPolicy`; for async functions.
        executor: Where calls run, a `ProcessExecutor` for example. See `millstream.executors`.
        kwargs: Deprecated arguments; a warning names those nobody knows.

    Raises:
        ValueError: A timeout for a sync function.
        RuntimeError: From a call outside a run, or of an async function in a sync run.

    Example:
        >>> from millstream.func import entrypoint, task
        >>> @task
        ... def measure(word: str) -> int:
        ...     return len(word)
        >>> @entrypoint()
        ... def total(words: list[str]) -> int:
        ...     return sum(future.result() for future in [measure(word) for word in words])
        >>> total.invoke(["mill", "stream"])
        10
    """
    retry_policy = _renamed_retry(retry_policy, kwargs)
    policies, limit = as_policies(retry_policy), TimeoutPolicy.coerce(timeout)

    def decorate(func: Callable[P, Awaitable[T]] | Callable[P, T]) -> _TaskFunction[P, T]:
        return _TaskFunction(
            func,
            retry_policy=policies,
            cache_policy=cache_policy,
            timeout=limit,
            executor=executor,
            name=name,
        )

    return decorate if __func_or_none__ is None else decorate(__func_or_none__)


def _renamed_retry(
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None, kwargs: dict[str, Any]
) -> RetryPolicy | Sequence[RetryPolicy] | None:
    """Take the deprecated keyword into account, and complain of those nobody knows."""
    if "retry" in kwargs:
        warn_caller(
            "`retry` is deprecated and will be removed. Please use `retry_policy` instead.",
            LangGraphDeprecatedSinceV05,
        )
        renamed: RetryPolicy | Sequence[RetryPolicy] | None = kwargs.pop("retry")
        retry_policy = retry_policy if retry_policy is not None else renamed
    if kwargs:
        warn_caller(f"Ignoring unknown keyword arguments: {', '.join(sorted(kwargs))}")
    return retry_policy


task.__module__ = "millstream.func"
