"""What can be a node, as type checkers see it.

A node is called with its input, and by name with what else its signature asks for. A protocol fits
only functions that take what it names, so every choice of `config`, `writer`, `store` and `runtime`
has one of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

from langchain_core.runnables import Runnable
from typing_extensions import TypedDict, TypeVar

from millstream.typing import ContextT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

    from millstream.drivers.executor import Executor
    from millstream.runtime import Runtime
    from millstream.types import CachePolicy, RetryPolicy, StreamWriter, TimeoutPolicy, TracePolicy

InT = TypeVar("InT")
"""What a node is given: a state of any form, or whatever a `Send` carries."""
InT_contra = TypeVar("InT_contra", contravariant=True)


class _WithConfig(Protocol[InT_contra]):
    def __call__(self, input: InT_contra, /, *, config: RunnableConfig) -> Any: ...


class _WithWriter(Protocol[InT_contra]):
    def __call__(self, input: InT_contra, /, *, writer: StreamWriter) -> Any: ...


class _WithStore(Protocol[InT_contra]):
    def __call__(self, input: InT_contra, /, *, store: BaseStore) -> Any: ...


class _WithRuntime(Protocol[InT_contra, ContextT]):
    def __call__(self, input: InT_contra, /, *, runtime: Runtime[ContextT]) -> Any: ...


class _WithConfigWriter(Protocol[InT_contra]):
    def __call__(
        self, input: InT_contra, /, *, config: RunnableConfig, writer: StreamWriter
    ) -> Any: ...


class _WithConfigStore(Protocol[InT_contra]):
    def __call__(
        self, input: InT_contra, /, *, config: RunnableConfig, store: BaseStore
    ) -> Any: ...


class _WithConfigRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self, input: InT_contra, /, *, config: RunnableConfig, runtime: Runtime[ContextT]
    ) -> Any: ...


class _WithWriterStore(Protocol[InT_contra]):
    def __call__(self, input: InT_contra, /, *, writer: StreamWriter, store: BaseStore) -> Any: ...


class _WithWriterRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self, input: InT_contra, /, *, writer: StreamWriter, runtime: Runtime[ContextT]
    ) -> Any: ...


class _WithStoreRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self, input: InT_contra, /, *, store: BaseStore, runtime: Runtime[ContextT]
    ) -> Any: ...


class _WithConfigWriterStore(Protocol[InT_contra]):
    def __call__(
        self,
        input: InT_contra,
        /,
        *,
        config: RunnableConfig,
        writer: StreamWriter,
        store: BaseStore,
    ) -> Any: ...


class _WithConfigWriterRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self,
        input: InT_contra,
        /,
        *,
        config: RunnableConfig,
        writer: StreamWriter,
        runtime: Runtime[ContextT],
    ) -> Any: ...


class _WithConfigStoreRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self,
        input: InT_contra,
        /,
        *,
        config: RunnableConfig,
        store: BaseStore,
        runtime: Runtime[ContextT],
    ) -> Any: ...


class _WithWriterStoreRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self,
        input: InT_contra,
        /,
        *,
        writer: StreamWriter,
        store: BaseStore,
        runtime: Runtime[ContextT],
    ) -> Any: ...


class _WithConfigWriterStoreRuntime(Protocol[InT_contra, ContextT]):
    def __call__(
        self,
        input: InT_contra,
        /,
        *,
        config: RunnableConfig,
        writer: StreamWriter,
        store: BaseStore,
        runtime: Runtime[ContextT],
    ) -> Any: ...


StateNode: TypeAlias = Union[
    Callable[[InT], Any],
    _WithConfig[InT],
    _WithWriter[InT],
    _WithStore[InT],
    _WithRuntime[InT, ContextT],
    _WithConfigWriter[InT],
    _WithConfigStore[InT],
    _WithConfigRuntime[InT, ContextT],
    _WithWriterStore[InT],
    _WithWriterRuntime[InT, ContextT],
    _WithStoreRuntime[InT, ContextT],
    _WithConfigWriterStore[InT],
    _WithConfigWriterRuntime[InT, ContextT],
    _WithConfigStoreRuntime[InT, ContextT],
    _WithWriterStoreRuntime[InT, ContextT],
    _WithConfigWriterStoreRuntime[InT, ContextT],
    Runnable[InT, Any],
    Mapping[str, Union[Callable[..., Any], Runnable[Any, Any]]],
]
"""What `add_node` takes; a mapping stands for LangChain's `RunnableParallel`."""


_Targets: TypeAlias = Union[Hashable, Sequence[Hashable]]
Path: TypeAlias = Union[
    Callable[..., _Targets], Callable[..., Awaitable[_Targets]], Runnable[Any, Any]
]
"""What says where to go: names of nodes, `Send`s, or what `path_map` maps to names."""


class NodeOptions(TypedDict, total=False):
    """What `add_node` can be told by name, beside `input_schema`."""

    defer: bool
    metadata: dict[str, Any] | None
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None
    cache_policy: CachePolicy[Any] | None
    error_handler: Callable[..., Any] | Runnable[Any, Any] | None
    destinations: dict[str, str] | tuple[str, ...] | None
    timeout: float | timedelta | TimeoutPolicy | None
    trace_policy: TracePolicy | None
    executor: Executor | None
