"""What a graph on a server is, and what its threads have kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

from langchain_core.runnables import RunnableConfig
from typing_extensions import Self

from millstream.constants import CONF
from millstream.errors import MissingThreadError
from millstream.pregel._remote.call import import_sdk
from millstream.pregel._remote.wire import (
    drawn_graph,
    received_config,
    sent_checkpoint,
    snapshot_of,
)
from millstream.pregel._running.request import merge_configs
from millstream.pregel.protocol import PregelProtocol
from millstream.types import StateSnapshot
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
    from langgraph_sdk.schema import QueryParamTypes

    from millstream.pictures import DrawableGraph


class SavedRemoteGraph(PregelProtocol[Any, Any, Any, Any]):
    """A graph on a server, with its picture and its threads; `RemoteGraph` adds how it runs."""

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

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
    ) -> DrawableGraph:
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
    ) -> DrawableGraph:
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
