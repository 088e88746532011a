"""Callback handlers that are told when a graph stops for a person and when it goes on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.callbacks.manager import ahandle_event, handle_event
from typing_extensions import Self

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig

    from millstream.types import Interrupt

__all__ = (
    "GraphCallbackHandler",
    "GraphInterruptEvent",
    "GraphLifecycleEvent",
    "GraphLifecycleStatus",
    "GraphResumeEvent",
    "get_async_graph_callback_manager_for_config",
    "get_sync_graph_callback_manager_for_config",
)

GraphLifecycleStatus: TypeAlias = Literal[
    "input", "pending", "done", "interrupt_before", "interrupt_after", "out_of_steps"
]


@dataclass(frozen=True)
class GraphInterruptEvent:
    """A run stopped: a node asked something, or a breakpoint was reached."""

    run_id: UUID | None
    """The graph's run as callback handlers know it."""
    status: GraphLifecycleStatus
    """`pending` for questions and for breakpoints of nested graphs."""
    checkpoint_id: str
    """Where the run can be continued."""
    checkpoint_ns: tuple[str, ...]
    """Where the graph is nested; `()` for the outermost graph."""
    interrupts: tuple[Interrupt, ...]
    """The questions; none at a breakpoint."""


@dataclass(frozen=True)
class GraphResumeEvent:
    """A run continues from a saved checkpoint."""

    run_id: UUID | None
    """The graph's run as callback handlers know it."""
    status: GraphLifecycleStatus
    checkpoint_id: str
    """Where the run continues."""
    checkpoint_ns: tuple[str, ...]
    """Where the graph is nested; `()` for the outermost graph."""


GraphLifecycleEvent: TypeAlias = GraphInterruptEvent | GraphResumeEvent


class GraphCallbackHandler(BaseCallbackHandler):
    """Hear when graphs stop for a person and when they go on; pass it in `config["callbacks"]`.

    Both methods may be coroutine functions. An error raised in one is logged, unless the handler
    says `raise_error`; then it ends the run.
    """

    def on_interrupt(self, event: GraphInterruptEvent) -> Any:
        """Hear that a run stopped. Only the outermost graph of a run reports it."""

    def on_resume(self, event: GraphResumeEvent) -> Any:
        """Hear that a graph, the outermost or a nested one, continues."""


_SAME: Final = object()


class _GraphManager(BaseCallbackManager):
    """Callbacks without those handlers that do not care for graphs."""

    def __init__(
        self,
        handlers: Sequence[GraphCallbackHandler] | None = None,
        inheritable_handlers: Sequence[GraphCallbackHandler] | None = None,
        parent_run_id: UUID | None = None,
        *,
        tags: list[str] | None = None,
        inheritable_tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inheritable_metadata: dict[str, Any] | None = None,
        run_id: UUID | None = None,
    ) -> None:
        super().__init__(
            list(handlers or ()),
            list(inheritable_handlers or ()),
            parent_run_id,
            tags=tags,
            inheritable_tags=inheritable_tags,
            metadata=metadata,
            inheritable_metadata=inheritable_metadata,
        )
        self.run_id = run_id

    @classmethod
    def configure(cls, callbacks: object | None = None, *, run_id: UUID | None = None) -> Self:
        """Make one from a handler, a sequence of handlers or any callback manager."""
        if callbacks is None:
            return cls(run_id=run_id)
        if isinstance(callbacks, BaseCallbackManager):
            return cls(
                _graph_handlers(callbacks.handlers),
                _graph_handlers(callbacks.inheritable_handlers),
                callbacks.parent_run_id,
                tags=callbacks.tags.copy(),
                inheritable_tags=callbacks.inheritable_tags.copy(),
                metadata=callbacks.metadata.copy(),
                inheritable_metadata=callbacks.inheritable_metadata.copy(),
                run_id=run_id,
            )
        if isinstance(callbacks, BaseCallbackHandler):
            return cls(_graph_handlers([callbacks]), run_id=run_id)
        if isinstance(callbacks, Sequence) and not isinstance(callbacks, str):
            return cls(_graph_handlers(callbacks), run_id=run_id)
        raise TypeError("callbacks must be a handler, sequence, or manager")

    def copy(self, *, run_id: UUID | object | None = _SAME) -> Self:
        """Return a copy, for another run if `run_id` is given."""
        return self.configure(self, run_id=self.run_id if run_id is _SAME else run_id)  # type: ignore[arg-type]  # what is not the mark is an id

    @abstractmethod
    def on_interrupt(self, event: GraphInterruptEvent) -> Any:
        """Tell all handlers that a run stopped."""

    @abstractmethod
    def on_resume(self, event: GraphResumeEvent) -> Any:
        """Tell all handlers that a run continues."""


class _GraphCallbackManager(_GraphManager):
    """Tells handlers from sync code."""

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        handle_event(self.handlers, "on_interrupt", None, event)

    def on_resume(self, event: GraphResumeEvent) -> None:
        handle_event(self.handlers, "on_resume", None, event)


class _AsyncGraphCallbackManager(_GraphManager):
    """Tells handlers from async code."""

    @property
    def is_async(self) -> bool:
        return True

    async def on_interrupt(self, event: GraphInterruptEvent) -> None:
        await ahandle_event(self.handlers, "on_interrupt", None, event)

    async def on_resume(self, event: GraphResumeEvent) -> None:
        await ahandle_event(self.handlers, "on_resume", None, event)


def get_sync_graph_callback_manager_for_config(
    config: RunnableConfig, *, run_id: UUID | None = None
) -> _GraphCallbackManager:
    """Return the graph handlers among a config's callbacks, to be told from sync code."""
    return _GraphCallbackManager.configure(config.get("callbacks"), run_id=run_id)


def get_async_graph_callback_manager_for_config(
    config: RunnableConfig, *, run_id: UUID | None = None
) -> _AsyncGraphCallbackManager:
    """Return the graph handlers among a config's callbacks, to be told from async code."""
    return _AsyncGraphCallbackManager.configure(config.get("callbacks"), run_id=run_id)


def _graph_handlers(handlers: Iterable[object]) -> list[GraphCallbackHandler]:
    return [handler for handler in handlers if isinstance(handler, GraphCallbackHandler)]
