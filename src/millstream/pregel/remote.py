"""Graphs on a server that speaks LangGraph's API, used like graphs that run here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from langchain_core.runnables import RunnableConfig
from typing_extensions import Self

from millstream.constants import CONF
from millstream.errors import MissingThreadError
from millstream.modes.event_listener import EventFilter
from millstream.modes.names import VALUES
from millstream.pregel._remote.call import EVENTS, RemoteCall, RemoteException, import_sdk
from millstream.pregel._remote.wire import (
    drawn_graph,
    received_config,
    sent_checkpoint,
    snapshot_of,
)
from millstream.pregel._running.request import merge_configs
from millstream.pregel.protocol import PregelProtocol
from millstream.types import All, StateSnapshot, StreamMode
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph
    from langchain_core.runnables.schema import StreamEvent
    from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
    from langgraph_sdk.schema import QueryParamTypes

__all__ = ("RemoteGraph", "RemoteException")


class RemoteGraph(PregelProtocol[Any, Any, Any, Any]):
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

    name: str

    def __init__(
        self,
        assistant_id: str,
        /,
        *,
        url: str | None = None,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
        client: LangGraphClient | None = None,
        sync_client: SyncLangGraphClient | None = None,
        config: RunnableConfig | None = None,
        name: str | None = None,
        distributed_tracing: bool = False,
    ) -> None:
        self.assistant_id = assistant_id
        self.name = assistant_id if name is None else name
        self.config = config
        self.distributed_tracing = distributed_tracing
        if url is not None and (client is None or sync_client is None):
            sdk = import_sdk()
            if client is None:
                client = sdk.get_client(url=url, api_key=api_key, headers=headers)
            if sync_client is None:
                sync_client = sdk.get_sync_client(url=url, api_key=api_key, headers=headers)
        self.client = client
        self.sync_client = sync_client

    def copy(self, update: Mapping[str, Any]) -> Self:
        """Return a copy with some of its arguments replaced."""
        given = {**vars(self), **update}
        assistant_id = given.pop("assistant_id")
        return type(self)(assistant_id, **given)

    def with_config(self, config: ConfigLike | None = None, **kwargs: Any) -> Self:
        """Return a copy whose config is merged into that of every call."""
        layers = [layer for layer in (self.config, config, kwargs) if layer]
        return self.copy({"config": merge_configs(cast("Any", layers))})

    def get_graph(
        self,
        config: ConfigLike | None = None,
        *,
        xray: int | bool = False,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> Graph:
        """Return a drawable picture of the graph, as the server draws it."""
        drawn = self._sync().assistants.get_graph(
            assistant_id=self.assistant_id, xray=xray, headers=headers, params=params
        )
        return drawn_graph(cast("Any", drawn))

    async def aget_graph(
        self,
        config: ConfigLike | None = None,
        *,
        xray: int | bool = False,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> Graph:
        """Return a drawable picture of the graph, as the server draws it."""
        drawn = await self._async().assistants.get_graph(
            assistant_id=self.assistant_id, xray=xray, headers=headers, params=params
        )
        return drawn_graph(cast("Any", drawn))

    def get_state(
        self,
        config: ConfigLike,
        *,
        subgraphs: bool = False,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> StateSnapshot:
        """Return the state of a thread, or of one checkpoint of it."""
        where = self._where(config)
        state = self._sync().threads.get_state(
            **where, subgraphs=subgraphs, headers=headers, params=params
        )
        return snapshot_of(cast("Any", state), where["thread_id"])

    async def aget_state(
        self,
        config: ConfigLike,
        *,
        subgraphs: bool = False,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> StateSnapshot:
        """Return the state of a thread, or of one checkpoint of it."""
        where = self._where(config)
        state = await self._async().threads.get_state(
            **where, subgraphs=subgraphs, headers=headers, params=params
        )
        return snapshot_of(cast("Any", state), where["thread_id"])

    def get_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> Iterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first; ten if there is no limit."""
        asked = self._history(config, filter, before, limit)
        states = self._sync().threads.get_history(**asked, headers=headers, params=params)
        for state in states:
            yield snapshot_of(cast("Any", state), asked["thread_id"])

    async def aget_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first; ten if there is no limit."""
        asked = self._history(config, filter, before, limit)
        states = await self._async().threads.get_history(**asked, headers=headers, params=params)
        for state in states:
            yield snapshot_of(cast("Any", state), asked["thread_id"])

    def bulk_update_state(self, config: ConfigLike, updates: Any) -> RunnableConfig:
        """Raise `NotImplementedError`: servers take one update at a time, see `update_state`."""
        _refuse_bulk()

    async def abulk_update_state(self, config: ConfigLike, updates: Any) -> RunnableConfig:
        """Raise `NotImplementedError`: servers take one update at a time, see `aupdate_state`."""
        _refuse_bulk()

    def update_state(
        self,
        config: ConfigLike,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> RunnableConfig:
        """Write to the state of a thread as if a node had returned `values`."""
        changed: Any = self._sync().threads.update_state(
            **self._where(config), values=values, as_node=as_node, headers=headers, params=params
        )
        return received_config(changed["checkpoint"])

    async def aupdate_state(
        self,
        config: ConfigLike,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        params: QueryParamTypes | None = None,
    ) -> RunnableConfig:
        """Write to the state of a thread as if a node had returned `values`."""
        changed: Any = await self._async().threads.update_state(
            **self._where(config), values=values, as_node=as_node, headers=headers, params=params
        )
        return received_config(changed["checkpoint"])

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

    def stream_events(
        self, input: Any, config: ConfigLike | None = None, **kwargs: Any
    ) -> NoReturn:
        """Raise `NotImplementedError`: run streams of remote graphs are not there yet."""
        _refuse_run_streams()

    def astream_events(  # type: ignore[override]  # no run streams
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        headers: dict[str, str] | None = None,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent]:
        """Run the graph on its server and yield LangChain's events of all that happens there.

        The arguments are those of `astream_events` of a graph that runs here, and of `astream`.
        """
        if version == "v3":
            _refuse_run_streams()
        wanted = EventFilter(
            include_names, include_types, include_tags, exclude_names, exclude_types, exclude_tags
        )
        return self._events(input, config, wanted, {"headers": headers, **kwargs})

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

    def _sync(self) -> SyncLangGraphClient:
        if self.sync_client is None:
            raise ValueError(
                "Sync client is not initialized: please provide `url` or `sync_client` when "
                "initializing `RemoteGraph`."
            )
        return self.sync_client

    def _async(self) -> LangGraphClient:
        if self.client is None:
            raise ValueError(
                "Async client is not initialized: please provide `url` or `client` when "
                "initializing `RemoteGraph`."
            )
        return self.client

    def _where(self, config: ConfigLike | None) -> dict[str, Any]:
        """Return the thread that a config names, and the checkpoint."""
        layers = [layer for layer in (self.config, config) if layer]
        named = sent_checkpoint(merge_configs(layers).get(CONF) or {})
        if "thread_id" not in named:
            raise MissingThreadError("thread_id")
        return {"thread_id": named["thread_id"], "checkpoint": named}

    def _history(
        self,
        config: ConfigLike,
        filter: dict[str, Any] | None,
        before: ConfigLike | None,
        limit: int | None,
    ) -> dict[str, Any]:
        named = None if before is None else sent_checkpoint(before.get(CONF) or {})
        return {
            **self._where(config),
            "limit": 10 if limit is None else limit,
            "before": named,
            "metadata": filter,
        }


def _refuse_bulk() -> NoReturn:
    raise NotImplementedError(
        "A server takes one update at a time: call update_state of the RemoteGraph for each"
    )


def _refuse_run_streams() -> NoReturn:
    raise NotImplementedError(
        "A RemoteGraph has no run streams (version='v3') yet: use stream or astream, or "
        "astream_events(version='v2')"
    )
