"""`StreamTransformer`: what turns the events of a run into a view of it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from millstream.stream._readers.pump import beside_the_run

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.stream._events.mux import StreamMux

logger = logging.getLogger(__name__)


class StreamTransformer(ABC):
    """Sees every event of a run and offers projections of them.

    One instance is made for the run, and one for each nested graph that is looked at. Each is told
    the events of its scope and of everything below, in order; which of them it is about is its own
    decision, by comparing `event["params"]["namespace"]` with `scope`.
    """

    requires_async: ClassVar[bool] = False
    """Works only in async runs, even if it overrides nothing that is async."""
    supports_sync: ClassVar[bool] = False
    """Works in sync runs, though it overrides something that is async."""
    required_stream_modes: ClassVar[tuple[str, ...]] = ()
    """The stream modes whose events it needs."""
    before_builtins: ClassVar[bool] = False
    """Sees events before the built-in transformers do."""
    _native: ClassVar[bool] = False
    """Its projections are attributes of the run stream."""
    _is_told_of_graphs: ClassVar[bool] = False
    """The engine tells it of nested graphs, which is all it needs of the stream modes."""
    _methods: frozenset[str] | None = None
    """The only event methods `process` has to be called with, None for all."""
    _home: StreamMux | None = None
    """The mux it works in."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        self.scope = scope

    @abstractmethod
    def init(self) -> dict[str, Any]:
        """Return the projections by name; a `StreamChannel` among them is closed with the run.

        A channel that has a name also appears in the run's event log.
        """

    def _on_register(self, mux: StreamMux) -> None:  # noqa: B027  # a hook, not a duty
        """Learn which mux the transformer works in."""

    def process(self, event: ProtocolEvent) -> bool:
        """Take note of an event; a false value keeps it out of the run's event log."""
        raise NotImplementedError(f"{type(self).__name__} must override process() or aprocess()")

    async def aprocess(self, event: ProtocolEvent) -> bool:
        """Take note of an event in an async run; `process` unless overridden."""
        return self.process(event)

    def finalize(self) -> None:  # noqa: B027  # as above
        """Complete the projections: the run has ended well."""

    async def afinalize(self) -> None:
        """Complete the projections of an async run; `finalize` unless overridden."""
        self.finalize()

    def fail(self, err: BaseException) -> None:  # noqa: B027  # as above
        """Take note that the run has failed."""

    async def afail(self, err: BaseException) -> None:
        """Take note that an async run has failed; `fail` unless overridden."""
        self.fail(err)

    def schedule(
        self, coro: Coroutine[Any, Any, Any], *, on_error: Literal["log", "raise"] = "log"
    ) -> asyncio.Task[Any]:
        """Run a coroutine beside the run, which does not end before it.

        Its error is logged; with `on_error="raise"` it becomes the run's error when the run ends,
        whenever it happened. A run that fails, or is left, cancels what is scheduled. Raises
        `RuntimeError` where no event loop runs.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Or Python would complain that nobody awaited it.
            coro.close()
            raise RuntimeError(
                f"{type(self).__name__}.schedule() requires a running event loop; this transformer "
                "must run under astream(), not stream(). Set requires_async=True on the class so "
                "this fails at registration rather than at first event."
            ) from None
        # It is not part of what it watches: it may read the run.
        task = beside_the_run(self._home, lambda: loop.create_task(coro))
        if on_error == "log":
            task.add_done_callback(_log_error)
        else:
            task.add_done_callback(self._keep_error)
        self._scheduled.add(task)
        task.add_done_callback(self._scheduled.discard)
        return task

    @property
    def _scheduled(self) -> set[asyncio.Task[Any]]:
        """Scheduled tasks that are running; subclasses need not call our `__init__`."""
        tasks: set[asyncio.Task[Any]] = self.__dict__.setdefault("_scheduled_tasks", set())
        return tasks

    def _keep_error(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # The first one stays, as of anything that fails in a run.
            self.__dict__.setdefault("_scheduled_error", error)

    def _take_scheduled_error(self) -> BaseException | None:
        """Return the first error of what was scheduled with `on_error="raise"`."""
        error: BaseException | None = self.__dict__.pop("_scheduled_error", None)
        return error


TransformerFactory: TypeAlias = Callable[[tuple[str, ...]], StreamTransformer]
"""Makes the transformer for a scope: the namespace of the graph it is about."""


def _log_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Scheduled StreamTransformer task failed", exc_info=error)


def is_async_only(transformer: StreamTransformer) -> bool:
    """Say whether a transformer cannot work in a sync run."""
    if transformer.requires_async:
        return True
    return not transformer.supports_sync and any(
        overrides(transformer, name) for name in ("aprocess", "afinalize", "afail")
    )


def overrides(transformer: StreamTransformer, name: str) -> bool:
    """Say whether a transformer's class has its own version of a method."""
    return getattr(type(transformer), name) is not getattr(StreamTransformer, name)


StreamTransformer.__module__ = "millstream.stream"
