"""Graphs on a server: not there yet, but importable, because packages ask what is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from millstream.pregel.protocol import PregelProtocol

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

__all__ = ("RemoteGraph", "RemoteException")


class RemoteException(Exception):  # LangGraph's name for it
    """A graph on a server failed."""


class RemoteGraph(PregelProtocol[Any, Any, Any, Any]):
    """A graph on a LangGraph server; it cannot be made yet."""

    def __new__(
        cls,
        assistant_id: str,
        /,
        *,
        url: str | None = None,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
        client: Any = None,
        sync_client: Any = None,
        config: RunnableConfig | None = None,
        name: str | None = None,
        distributed_tracing: bool = False,
    ) -> NoReturn:
        """Raise `NotImplementedError`."""
        raise NotImplementedError(
            "millstream has no RemoteGraph yet: call the server with langgraph_sdk "
            "(get_client, get_sync_client) in a node instead"
        )
