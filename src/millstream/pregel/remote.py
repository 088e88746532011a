"""Graphs on a server that speaks LangGraph's API, used like graphs that run here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from millstream.modes.event_listener import EventFilter
from millstream.modes.names import VALUES
from millstream.pregel._remote.call import EVENTS, RemoteCall, RemoteException
from millstream.pregel._remote.saved import SavedRemoteGraph
from millstream.types import All, StreamMode
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from langchain_core.runnables.schema import StreamEvent
    from langgraph_sdk.schema import QueryParamTypes

    from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream

__all__ = ("RemoteGraph", "RemoteException")


class RemoteGraph(SavedRemoteGraph):
    """A graph on a server, by the name of its assistant.

    It can be run, streamed and drawn, its threads read and changed, and it can be a node of another
    graph: that one's thread is its thread on the server, its stream has what the remote graph
    streams, its caller is asked what the remote graph asks.

    Args:
        assistant_id: The assistant, or the graph whose default assistant is meant.
        url: Where the server is; `api_key` and `headers` are sent with every request.
        client: A client of langgraph_sdk to be used instead, for async methods.
        sync_client: The same for sync ones.
        config: Is merged into that of every call.
        name: What it is called as a node; the assistant's id by default.
        distributed_tracing: LangSmith shows runs on the server in the trace of the caller.
    """

    def stream(  # type: ignore[override]  # named options, as graphs have
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        subgraphs: bool = False,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Run the graph on its server and yield what happens, by default the updates.

        Items are like those of a graph that runs here, their values plain JSON; several modes
        without `subgraphs` give the SDK's `StreamPart`. Other arguments (`durability`,
        `multitask_strategy`, `on_disconnect="cancel"`, `webhook`, ...) are those of the SDK's
        `runs.stream`. Whoever stops reading leaves the run on the server alone, unless
        `on_disconnect` says otherwise; a sync graph around it that is left waits for what the
        server says next.

        Raises:
            RemoteException: The run failed; the argument is what the server says of it.
        """
        call = RemoteCall(
            self,
            input,
            config,
            stream_mode=stream_mode,
            subgraphs=subgraphs,
            version=version,
            context=context,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            headers=headers,
            params=params,
            **kwargs,
        )
        yield from self._carry_out(call)

    async def astream(  # type: ignore[override]  # named options, as graphs have
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        subgraphs: bool = False,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Run the graph on its server and yield what happens; see `stream`."""
        call = RemoteCall(
            self,
            input,
            config,
            stream_mode=stream_mode,
            subgraphs=subgraphs,
            version=version,
            context=context,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            headers=headers,
            params=params,
            **kwargs,
        )
        async with aclosing(self._acarry_out(call)) as items:
            async for item in items:
                yield item

    def invoke(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        context: Any = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Any:
        """Run the graph on its server and return its last state, with what it asks.

        With `version="v2"` a `GraphOutput`; see `stream` for the other arguments.
        """
        call = RemoteCall(
            self,
            input,
            config,
            stream_mode=VALUES,
            subgraphs=False,
            version=version,
            context=context,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            headers=headers,
            params=params,
            **kwargs,
        )
        for _ in self._carry_out(call):
            pass
        return call.result()

    async def ainvoke(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        context: Any = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Any:
        """Run the graph on its server and return its last state; see `invoke`."""
        call = RemoteCall(
            self,
            input,
            config,
            stream_mode=VALUES,
            subgraphs=False,
            version=version,
            context=context,
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            headers=headers,
            params=params,
            **kwargs,
        )
        async with aclosing(self._acarry_out(call)) as items:
            async for _ in items:
                pass
        return call.result()

    def stream_events(  # type: ignore[override]  # what version v3 returns
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        **kwargs: Any,
    ) -> GraphRunStream:
        """Return a run stream, with `version="v3"`: one run, not begun, with many views of it.

        It is what graphs that run here return, its values plain JSON; `transformers` are as there,
        other arguments as those of `stream`. A run whose stream is left (`abort`, or the end of
        `with`) is cancelled by the server when the connection closes, unless `on_disconnect` says
        otherwise. There is no sync v1 or v2.
        """
        if version != "v3":
            raise NotImplementedError(
                f"stream_events(version={version!r}) is not supported. Use astream_events() for "
                "v1/v2, or stream_events(version='v3')."
            )
        # Slow to import, and asked for by those alone who read run streams.
        from millstream.pregel._remote.run_streams import open_remote_stream

        return open_remote_stream(self, input, config, transformers, kwargs, self._carry_out)

    @overload  # type: ignore[override]  # named options, and what version v3 returns
    def astream_events(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v3"],
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, AsyncGraphRunStream]: ...

    @overload
    def astream_events(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2"] = "v2",
        headers: dict[str, str] | None = None,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent]: ...

    def astream_events(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        headers: dict[str, str] | None = None,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent] | Coroutine[Any, Any, AsyncGraphRunStream]:
        """Run the graph on its server and yield LangChain's events of all that happens there.

        With `version="v3"`, to be awaited, it returns a run stream instead: see `stream_events`.
        The arguments are those of `astream_events` of a graph that runs here, and of `astream`.
        """
        if version == "v3":
            return self._open_run_stream(
                input, config, transformers, {"headers": headers, **kwargs}
            )
        wanted = EventFilter(
            include_names, include_types, include_tags, exclude_names, exclude_types, exclude_tags
        )
        return self._events(input, config, wanted, {"headers": headers, **kwargs})

    async def _open_run_stream(
        self,
        input: Any,
        config: ConfigLike | None,
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None,
        given: dict[str, Any],
    ) -> AsyncGraphRunStream:
        from millstream.pregel._remote.run_streams import open_remote_astream

        return open_remote_astream(self, input, config, transformers, given, self._acarry_out)

    async def _events(
        self, input: Any, config: ConfigLike | None, wanted: EventFilter, given: dict[str, Any]
    ) -> AsyncIterator[StreamEvent]:
        stream: Any = self.astream(input, config, stream_mode=cast("Any", EVENTS), **given)
        async with aclosing(stream) as events:
            async for event in events:
                kind = event["event"].removeprefix("on_").rpartition("_")[0]
                if wanted.wants(event["name"], kind, event.get("tags") or ()):
                    yield event

    def _carry_out(self, call: RemoteCall) -> Iterator[Any]:
        error: BaseException | None = None
        client = self._sync()
        try:
            if (left := call.left) is not None:
                for run_id in call.unfinished(client.runs.list(**left)):
                    client.runs.join(run_id=run_id, **left)
            if left is None or call.go_on(client.threads.get_history(**left, **call.newest_own)):
                with closing(cast("Any", client.runs.stream(**call.arguments))) as parts:
                    for part in parts:
                        yield from call.take(part)
                call.finish()
        except BaseException as raised:
            error = raised
            raise
        finally:
            call.end(error)

    async def _acarry_out(self, call: RemoteCall) -> AsyncGenerator[Any, None]:
        error: BaseException | None = None
        client = self._async()
        try:
            if (left := call.left) is not None:
                for run_id in call.unfinished(await client.runs.list(**left)):
                    await client.runs.join(run_id=run_id, **left)
            if left is None or call.go_on(
                await client.threads.get_history(**left, **call.newest_own)
            ):
                async with aclosing(cast("Any", client.runs.stream(**call.arguments))) as parts:
                    async for part in parts:
                        for item in call.take(part):
                            yield item
                call.finish()
        except BaseException as raised:
            error = raised
            raise
        finally:
            call.end(error)
