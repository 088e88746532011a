"""Run streams: one run, and many views of it, each read by whoever wants to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from millstream.modes.protocol_events import ProtocolEvent, convert_to_protocol_event
from millstream.modes.subgraph_events import SubgraphStatus
from millstream.stream._events.mux import StreamMux
from millstream.stream._readers.async_pump import AsyncPump
from millstream.stream._readers.merged import AsyncMergedChannels, MergedChannels
from millstream.stream._readers.pump import Feed
from millstream.stream._readers.sync_pump import SyncPump
from millstream.stream._transformers.projections import ValuesTransformer
from millstream.stream.stream_channel import StreamChannel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models.chat_model_stream import (
        AsyncChatModelStream,
        ChatModelStream,
    )
    from typing_extensions import Self

    from millstream.stream._transformers.lifecycle import LifecyclePayload
    from millstream.stream._transformers.tool_calls import ToolCallStream

__all__ = (
    "AsyncGraphRunStream",
    "AsyncSubgraphRunStream",
    "GraphRunStream",
    "ProtocolEvent",
    "StreamMux",
    "SubgraphRunStream",
    "SubgraphStatus",
    "ValuesTransformer",
    "convert_to_protocol_event",
)


class _RunStreamBase:
    """What run streams show, whichever way they are read."""

    extensions: Mapping[str, Any]
    """All projections by name."""

    if TYPE_CHECKING:
        lifecycle: StreamChannel[LifecyclePayload]
        """Starts and ends of all nested graphs."""
        updates: StreamChannel[dict[str, Any]]
        """What each task wrote, with `UpdatesTransformer`."""
        custom: StreamChannel[Any]
        """What nodes wrote to their stream writer, with `CustomTransformer`."""
        checkpoints: StreamChannel[dict[str, Any]]
        """Checkpoints, with `CheckpointsTransformer`."""
        tasks: StreamChannel[dict[str, Any]]
        """Starts and results of tasks, with `TasksTransformer`."""
        debug: StreamChannel[dict[str, Any]]
        """Checkpoints and tasks, with `DebugTransformer`."""
        values: StreamChannel[Any]
        """The state after each superstep."""

    def __init__(self, mux: StreamMux) -> None:
        self._mux = mux
        self.extensions = MappingProxyType(mux.extensions)
        for key in mux.native_keys:
            setattr(self, key, mux.extensions[key])

    def __getattr__(self, name: str) -> Any:  # type checkers cannot know every transformer
        # By the dict, because this is called for `_mux` too when an instance is not complete.
        mux = self.__dict__.get("_mux")
        known = ", ".join(sorted(mux.native_keys)) if mux is not None else ""
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r} "
            f"(registered projections: {known})"
        )

    def __repr__(self) -> str:
        # By the dict, as above.
        mux = self.__dict__.get("_mux")
        where = "" if mux is None or not mux.scope else f" of {'|'.join(mux.scope)}"
        return f"<{type(self).__name__}{where}: {'incomplete' if mux is None else mux.status}>"

    def _observe_event(self, event: ProtocolEvent) -> None:
        """Look at an event of a nested graph before its transformers do; for subclasses."""

    def _state(self, name: str, default: Any) -> Any:
        """Return what the values projection knows; the run's error if it has failed."""
        if self._mux.error is not None:
            # Whoever asks how the run ended is told, even when others have been.
            raise self._mux.error
        return getattr(self._mux.transformer_by_key("values"), name, default)

    def _named(self, names: tuple[str, ...]) -> dict[str, StreamChannel[Any]]:
        """Return projections that can be interleaved."""
        channels: dict[str, StreamChannel[Any]] = {}
        for name in names:
            channel = self.extensions[name]
            if name in channels:
                raise RuntimeError(
                    f"StreamChannel {name!r} already has a subscriber; use .tee(n) for fan-out."
                )
            channels[name] = channel
            if not isinstance(channel, StreamChannel):
                raise TypeError(
                    "interleave() requires StreamChannel projections, got "
                    f"{type(channel).__name__} for {name!r}"
                )
        return channels

    def _end(self) -> Feed[Any]:
        """Return a feed that gets nothing but the end."""
        feed = _EndOnly(None, self._mux.pump)
        # Beside the reader of the log: the end is for anybody to wait for.
        self._mux.watch(feed)
        return feed


class _EndOnly(Feed[Any]):
    __slots__ = ()

    def put(self, item: Any) -> None:
        """Leave the item."""


class GraphRunStream(_RunStreamBase):
    """A run of a graph, carried on by whoever reads: it does nothing while nobody does.

    Iterating it yields all events, of nested graphs too. Each projection has one reader at a time
    and shows what happens after that reader has come; readers may be threads. Any of them raises
    the run's error, after everything before it.
    """

    if TYPE_CHECKING:
        messages: StreamChannel[ChatModelStream]
        """One stream per message of this graph's nodes."""
        subgraphs: StreamChannel[SubgraphRunStream]
        """Handles of the graphs that this graph's tasks call."""
        tool_calls: StreamChannel[ToolCallStream]
        """Calls of tools, with `ToolCallTransformer`."""

    _pump: SyncPump | None = None

    def __init__(
        self,
        graph_iter: Iterator[Any] | None,
        mux: StreamMux,
        *,
        wire_pump: bool = True,
    ) -> None:
        super().__init__(mux)
        if graph_iter is not None and wire_pump:
            self._pump = SyncPump(graph_iter, mux)
            mux._connect(self._pump)

    def __iter__(self) -> Iterator[ProtocolEvent]:
        return iter(self._mux._events)

    def interleave(self, *names: str) -> Iterator[tuple[str, Any]]:
        """Yield `(name, item)` of several projections, in the order in which they come.

        They can be read by others when the iterator is exhausted or closed.
        """
        merged = MergedChannels(self._named(names), self._mux.pump)
        try:
            yield from merged
        finally:
            merged.leave()

    @property
    def output(self) -> Any:
        """The last state, after the run has been carried on to its end; None if there is none."""
        return self._at_end("_latest", None)

    @property
    def interrupted(self) -> bool:
        """Whether the run stopped at questions, after it has been carried on to its end."""
        return bool(self._at_end("_interrupts", []))

    @property
    def interrupts(self) -> list[Any]:
        """The questions, after the run has been carried on to its end."""
        return list(self._at_end("_interrupts", []))

    def _at_end(self, name: str, default: Any) -> Any:
        end = self._end()
        try:
            while not end.is_ended and end.pump is not None and end.pump.wait(end):
                pass
        finally:
            self._mux._events._unsubscribe(end)
        return self._state(name, default)

    def _pump_next(self) -> bool:
        pump = self._mux.pump
        return pump is not None and bool(pump.pull())

    def abort(self) -> None:
        """Stop the run, and return when it has stopped; what was shown stays readable.

        What runs in another thread cannot be interrupted, and is waited for.
        """
        if self._pump is not None:
            self._pump.stop()
        else:
            # A handle has no run to stop: it just shows nothing more.
            self._mux.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.abort()


class AsyncGraphRunStream(_RunStreamBase):
    """A run of a graph, carried on by whoever reads: it does nothing while nobody does.

    As `GraphRunStream`, with `async for`, any number of tasks as readers, and the results as
    methods to be awaited. When the only reader is cancelled, the run is stopped, nested graphs
    included, before the cancellation goes on; while others read, it goes on for them.
    """

    if TYPE_CHECKING:
        messages: StreamChannel[AsyncChatModelStream]
        """One stream per message of this graph's nodes."""
        subgraphs: StreamChannel[AsyncSubgraphRunStream]
        """Handles of the graphs that this graph's tasks call."""
        tool_calls: StreamChannel[ToolCallStream]
        """Calls of tools, with `ToolCallTransformer`."""

    _pump: AsyncPump | None = None

    def __init__(
        self,
        graph_aiter: AsyncIterator[Any] | None,
        mux: StreamMux,
        *,
        wire_pump: bool = True,
    ) -> None:
        super().__init__(mux)
        if graph_aiter is not None and wire_pump:
            self._pump = AsyncPump(graph_aiter, mux)
            mux._connect(self._pump)

    def __aiter__(self) -> AsyncIterator[ProtocolEvent]:
        return aiter(self._mux._events)

    def interleave(self, *names: str) -> AsyncIterator[tuple[str, Any]]:
        """Yield `(name, item)` of several projections; see `GraphRunStream.interleave`."""
        return AsyncMergedChannels(lambda: MergedChannels(self._named(names), self._mux.pump))

    async def output(self) -> Any:
        """Carry the run on to its end, and return the last state; None if there is none."""
        return await self._at_end("_latest", None)

    async def interrupted(self) -> bool:
        """Carry the run on to its end, and say whether it stopped at questions."""
        return bool(await self._at_end("_interrupts", []))

    async def interrupts(self) -> list[Any]:
        """Carry the run on to its end, and return the questions it stopped at."""
        return list(await self._at_end("_interrupts", []))

    async def _at_end(self, name: str, default: Any) -> Any:
        end = self._end()
        try:
            while not end.is_ended and end.pump is not None and await end.pump.wait(end):
                pass
        finally:
            self._mux._events._unsubscribe(end)
        return self._state(name, default)

    async def _apump_next(self) -> bool:
        pump = self._mux.pump
        return pump is not None and bool(await pump.pull())

    async def abort(self) -> None:
        """Stop the run, and return when everything in it has stopped.

        Also when the calling task has been cancelled, or is while it waits. What was shown stays
        readable.
        """
        if self._pump is not None:
            await self._pump.stop()
        else:
            await self._mux.aabandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.abort()


class _Handle(_RunStreamBase):
    """What handles of nested graphs know."""

    def __init__(
        self,
        mux: StreamMux,
        *,
        path: tuple[str, ...],
        graph_name: str | None = None,
        trigger_call_id: str | None = None,
    ) -> None:
        _RunStreamBase.__init__(self, mux)  # a handle has no pump of its own
        self.path = path
        """The namespace of the graph."""
        self.graph_name = graph_name
        self.trigger_call_id = trigger_call_id
        """The task that called the graph."""
        self.status: SubgraphStatus = "started"
        self.error: str | None = None
        """What went wrong, as text, if the graph has failed."""
        self._seen_terminal = False


class SubgraphRunStream(_Handle, GraphRunStream):
    """A nested graph within a run; reading it carries on the whole run."""


class AsyncSubgraphRunStream(_Handle, AsyncGraphRunStream):
    """A nested graph within an async run; reading it carries on the whole run."""
