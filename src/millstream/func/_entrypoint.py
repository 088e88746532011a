"""A function as a graph of one node."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin

from millstream._base.runnable import function_runnable
from millstream.channels import EphemeralValue, LastValue
from millstream.constants import END, PREVIOUS, START
from millstream.func._task import _renamed_retry
from millstream.pregel import Pregel
from millstream.pregel._structure.declared import as_policies
from millstream.pregel._structure.nodes import ChannelWriteEntry, PregelNode, entries_writer
from millstream.saving.places import saver_of
from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy
from millstream.typing import ContextT
from millstream.warnings import LangGraphDeprecatedSinceV10, warn_caller

if TYPE_CHECKING:
    from datetime import timedelta

    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from millstream.drivers.executor import Executor
    from millstream.saving.places import Place

R = TypeVar("R")
S = TypeVar("S")


class entrypoint(Generic[ContextT]):
    """Make a workflow of a function, to be run like any graph.

    The function's first parameter is the input; `config`, `writer`, `store`, `previous` and
    `runtime` are injected. What it returns is the result, and with a saver the next run on the
    thread gets it as `previous`; return `entrypoint.final` to keep something else.

    A run that failed, or waits for an answer, goes on by calling the function again from its top;
    calls of `@task` functions that had finished return what they returned before.

    Args:
        checkpointer: Saves what tasks returned, and what the run returned for the next one; a path
            or a `"postgresql://..."` URL is a journal of `millstream.journal` there.
        store: What the function gets as `store`: memory beyond one thread.
        cache: Where results of functions with a `cache_policy` are.
        context_schema: Class of what `invoke(context=...)` takes.
        cache_policy: Reuse the result of the same input.
        retry_policy: Which failures are tried again.
        timeout: Seconds, or a `TimeoutPolicy`; for async functions.
        executor: Where the function runs, a `ProcessExecutor` for example; calls of tasks run
            where those say. See `millstream.executors`.

    Raises:
        NotImplementedError: It decorates a generator function.
        ValueError: The function has no parameter, or a timeout and is sync, or no saver can be
            where `checkpointer` says.

    Example:
        >>> from millstream.checkpoint.memory import InMemorySaver
        >>> from millstream.func import entrypoint
        >>> @entrypoint(InMemorySaver())
        ... def count(step: int, *, previous: int | None = None) -> int:
        ...     return (previous or 0) + step
        >>> thread = {"configurable": {"thread_id": "1"}}
        >>> count.invoke(2, thread), count.invoke(3, thread)
        (2, 5)
    """

    def __init__(
        self,
        checkpointer: BaseCheckpointSaver[Any] | Place | None = None,
        store: BaseStore | None = None,
        cache: BaseCache[Any] | None = None,
        context_schema: type[ContextT] | None = None,
        cache_policy: CachePolicy[Any] | None = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
        *,
        executor: Executor | None = None,
        **kwargs: Any,
    ) -> None:
        if "config_schema" in kwargs:
            warn_caller(
                "`config_schema` is deprecated and will be removed. "
                "Please use `context_schema` instead.",
                LangGraphDeprecatedSinceV10,
            )
            schema = kwargs.pop("config_schema")
            context_schema = context_schema if context_schema is not None else schema
        if inspect.isroutine(checkpointer):
            raise TypeError(
                f"write @entrypoint() above {checkpointer.__name__!r}, with parentheses"
            )
        self.checkpointer = saver_of(checkpointer)
        self.store = store
        self.cache = cache
        self.context_schema = context_schema
        self.cache_policy = cache_policy
        self.retry_policy = as_policies(_renamed_retry(retry_policy, kwargs))
        self.timeout = TimeoutPolicy.coerce(timeout)
        self.executor = executor

    @dataclass(slots=True, kw_only=True)
    class final(Generic[R, S]):
        """What a workflow returns to return one value and keep another as `previous`."""

        value: R
        save: S

    def __call__(self, func: Callable[..., Any]) -> Pregel[Any, ContextT, Any, Any]:
        """Return the graph that runs the function."""
        # Its result would be the generator, of which nothing has run.
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise NotImplementedError("Generators are not supported in the Functional API.")
        signature = inspect.signature(func)
        if not signature.parameters:
            raise ValueError("Entrypoint function must have at least one parameter")
        first = next(iter(signature.parameters.values()))
        returned, saved = _result_types(signature.return_annotation)
        name = func.__name__
        node = PregelNode(
            channels=START,
            triggers=[START],
            bound=function_runnable(func, name=name, trace=False, recurse=False),
            to_writes=entries_writer(
                (
                    ChannelWriteEntry(END, mapper=_returned_value),
                    ChannelWriteEntry(PREVIOUS, mapper=_saved_value),
                )
            ),
            write_targets=(END, PREVIOUS),
            timeout=self.timeout,
            executor=self.executor,
        )
        graph: Pregel[Any, ContextT, Any, Any] = Pregel(
            nodes={name: node},
            channels={
                START: EphemeralValue(_type_of(first.annotation)),
                END: LastValue(returned, END),
                PREVIOUS: LastValue(saved, PREVIOUS),
            },
            input_channels=START,
            output_channels=END,
            stream_channels=END,
            stream_mode="updates",
            stream_eager=True,
            checkpointer=self.checkpointer,
            store=self.store,
            cache=self.cache,
            cache_policy=self.cache_policy,
            retry_policy=self.retry_policy,
            context_schema=self.context_schema,
        )
        # The graph has taken the function's name: there another process finds it.
        vars(graph)["__wrapped__"] = func
        return graph


def _type_of(annotation: Any) -> Any:
    return Any if annotation is inspect.Signature.empty else annotation


def _result_types(annotation: Any) -> tuple[Any, Any]:
    """Return the types of what a workflow returns and of what it keeps."""
    if annotation is entrypoint.final:
        return Any, Any
    if get_origin(annotation) is entrypoint.final:
        returned, saved = get_args(annotation)
        return returned, saved
    returned = _type_of(annotation)
    return returned, returned


def _returned_value(result: Any) -> Any:
    return result.value if isinstance(result, entrypoint.final) else result


def _saved_value(result: Any) -> Any:
    return result.save if isinstance(result, entrypoint.final) else result


entrypoint.__module__ = "millstream.func"
