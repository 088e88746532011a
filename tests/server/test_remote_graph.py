"""A RemoteGraph against our server: our own, and langgraph's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import pytest
from langgraph_sdk import get_client, get_sync_client

from server.fixtures import Running

pytestmark = pytest.mark.real_time(reason="a server answers")

HI: Final = {"messages": [{"role": "user", "content": "hi"}]}
SAID: Final = "hello from the fake model"


class Remote:
    """Remote graphs of a library, used through their synchronous or asynchronous methods."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop | None, library: str) -> None:
        self.library = library
        self.loop = loop
        self.client = get_client(url=url, api_key=None) if loop else None
        self.sync_client = get_sync_client(url=url, api_key=None)

    def named(self, module: str, name: str) -> Any:
        """Return what the library has under this name."""
        return getattr(import_module(f"{self.library}.{module}"), name)

    def graph(self, name: str) -> Any:
        make = self.named("pregel.remote", "RemoteGraph")
        return make(name, client=self.client, sync_client=self.sync_client)

    def call(self, graph: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if self.loop is None:
            return getattr(graph, name)(*args, **kwargs)
        return self.loop.run_until_complete(getattr(graph, f"a{name}")(*args, **kwargs))

    def stream(self, graph: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if self.loop is None:
            return list(graph.stream(*args, **kwargs))

        async def collect() -> list[Any]:
            return [part async for part in graph.astream(*args, **kwargs)]

        return self.loop.run_until_complete(collect())

    def new_thread(self) -> dict[str, Any]:
        return {"configurable": {"thread_id": self.sync_client.threads.create()["thread_id"]}}


@pytest.fixture(params=["async", "sync"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop | None]:
    """Give the event loop of asynchronous methods, None for synchronous ones."""
    loop = asyncio.new_event_loop() if request.param == "async" else None
    yield loop
    if loop:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture(params=["millstream", pytest.param("langgraph", marks=pytest.mark.long)])
def remote(
    request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop | None, server: Running
) -> Iterator[Remote]:
    """Give remote graphs of the server."""
    remote = Remote(server.url, loop, request.param)
    yield remote
    remote.sync_client.close()
    if loop and remote.client:
        loop.run_until_complete(remote.client.aclose())


def test_a_remote_graph_is_invoked(remote: Remote) -> None:
    result = remote.call(remote.graph("chat"), "invoke", HI)
    assert result["messages"][-1]["content"] == SAID


def test_a_remote_graph_streams_also_what_is_nested(remote: Remote) -> None:
    given = {**HI, "topic": "t"}
    graph = remote.graph("sink")
    assert [*map(list, remote.stream(graph, given, stream_mode="updates"))] == [
        ["first"],
        ["inner"],
        ["last"],
    ]
    parts = remote.stream(graph, given, stream_mode=["values", "messages"], subgraphs=True)
    assert {mode for _, mode, _ in parts} == {"values", "messages"}
    namespaces = {ns[0].partition(":")[0] for ns, _, _ in parts if ns}
    assert namespaces == {"inner"}


def test_the_state_of_a_remote_graph_is_read_and_updated(remote: Remote) -> None:
    graph, config = remote.graph("chat"), remote.new_thread()
    remote.call(graph, "invoke", HI, config)
    state = remote.call(graph, "get_state", config)
    assert (state.values["messages"][-1]["content"], state.next) == (SAID, ())
    more = {"messages": [{"role": "user", "content": "and?"}]}
    remote.call(graph, "update_state", config, more, as_node="call_model")
    after = remote.call(graph, "get_state", config)
    assert [m["content"] for m in after.values["messages"]] == ["hi", SAID, "and?"]
    assert after.metadata["source"] == "update"
    assert (
        after.parent_config["configurable"]["checkpoint_id"]
        == (state.config["configurable"]["checkpoint_id"])
    )


def test_the_history_and_the_drawing_of_a_remote_graph(remote: Remote) -> None:
    graph, config = remote.graph("chat"), remote.new_thread()
    remote.call(graph, "invoke", HI, config)
    if remote.loop:

        async def history() -> list[Any]:
            return [state async for state in graph.aget_state_history(config)]

        states = remote.loop.run_until_complete(history())
    else:
        states = list(graph.get_state_history(config))
    assert [state.metadata["step"] for state in states] == [1, 0, -1]
    assert list(remote.call(graph, "get_graph").nodes) == ["__start__", "call_model", "__end__"]


def test_a_remote_graph_asks_and_is_answered(remote: Remote) -> None:
    command = remote.named("types", "Command")
    graph, config = remote.graph("hitl"), remote.new_thread()
    asked = remote.stream(graph, HI, config, stream_mode="updates")
    assert asked[-1]["__interrupt__"][0]["value"] == {"question": "approve?", "n": 1}
    (question,) = remote.call(graph, "get_state", config).interrupts
    assert question.value == {"question": "approve?", "n": 1}
    answered = remote.call(graph, "invoke", command(resume="yes"), config)
    assert answered["messages"][-1]["content"] == "answer=yes"


def test_a_remote_graph_raises_what_its_run_raised(remote: Remote) -> None:
    with pytest.raises(Exception, match="boom in tick"):
        remote.call(remote.graph("slow"), "invoke", {"n": 1, "boom": True})


def test_a_remote_graph_is_a_node_of_another_graph(remote: Remote) -> None:
    builder = remote.named("graph", "StateGraph")(remote.named("graph", "MessagesState"))
    builder.add_node("there", remote.graph("chat"))
    outer = builder.add_edge("__start__", "there").compile()
    result = remote.call(outer, "invoke", HI)
    assert [m.content for m in result["messages"]] == ["hi", SAID]


def test_a_graph_elsewhere_says_which_it_is() -> None:
    from millstream.pregel.remote import RemoteGraph

    assert repr(RemoteGraph("agent")) == "<RemoteGraph 'agent'>"
