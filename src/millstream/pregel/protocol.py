"""The interface that graphs share, wherever they run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic

from langchain_core.runnables import Runnable, RunnableConfig

from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph
    from typing_extensions import Self

    from millstream.types import All, Command, StateSnapshot, StateUpdate, StreamMode

__all__ = ("PregelProtocol", "StreamProtocol")

StreamChunk = tuple[tuple[str, ...], str, Any]


class PregelProtocol(Runnable[InputT, Any], Generic[StateT, ContextT, InputT, OutputT]):
    """A graph that can be run, streamed and drawn, and whose threads can be read and changed."""

    @abstractmethod
    def with_config(self, config: ConfigLike | None = None, **kwargs: Any) -> Self:
        """Return a copy whose config is merged into that of every call."""

    @abstractmethod
    def get_graph(self, config: ConfigLike | None = None, *, xray: int | bool = False) -> Graph:
        """Return a drawable picture of the graph."""

    @abstractmethod
    def get_state(self, config: ConfigLike, *, subgraphs: bool = False) -> StateSnapshot:
        """Return the state of a thread, or of one checkpoint of it."""

    @abstractmethod
    async def aget_state(self, config: ConfigLike, *, subgraphs: bool = False) -> StateSnapshot:
        """Return the state of a thread, or of one checkpoint of it."""

    @abstractmethod
    def get_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
    ) -> Iterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first."""

    @abstractmethod
    def aget_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first."""

    @abstractmethod
    def bulk_update_state(
        self, config: ConfigLike, updates: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Write to the state of a thread several times, one checkpoint for each superstep."""

    @abstractmethod
    async def abulk_update_state(
        self, config: ConfigLike, updates: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Write to the state of a thread several times, one checkpoint for each superstep."""

    @abstractmethod
    def update_state(
        self,
        config: ConfigLike,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
    ) -> RunnableConfig:
        """Write to the state of a thread as if a node had returned `values`."""

    @abstractmethod
    async def aupdate_state(
        self,
        config: ConfigLike,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
    ) -> RunnableConfig:
        """Write to the state of a thread as if a node had returned `values`."""

    @abstractmethod
    def stream(  # type: ignore[override]  # named options instead of **kwargs
        self,
        input: InputT | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        subgraphs: bool = False,
    ) -> Iterator[dict[str, Any] | Any]:
        """Run the graph and yield what happens."""

    @abstractmethod
    def astream(  # type: ignore[override]  # named options instead of **kwargs
        self,
        input: InputT | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        subgraphs: bool = False,
    ) -> AsyncIterator[dict[str, Any] | Any]:
        """Run the graph and yield what happens."""


class StreamProtocol:
    """A sink of `(namespace, mode, payload)` items, and the modes it wants."""

    __slots__ = ("__call__", "modes")

    modes: set[StreamMode]
    __call__: Callable[[StreamChunk], None]

    def __init__(self, __call__: Callable[[StreamChunk], None], modes: set[StreamMode]) -> None:
        self.__call__ = __call__
        self.modes = modes
