"""What a RemoteGraph sends, and how it ends: over a transport that the tests see."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client

from millstream.graph import START, MessagesState, StateGraph
from millstream.pregel.remote import RemoteGraph
from millstream.types import Command, Send
from server.fixtures import Running

pytestmark = pytest.mark.real_time(reason="a server answers")


@pytest.fixture
def slow(server: Running) -> Iterator[RemoteGraph]:
    """Give a remote graph that says something and then takes long."""
    with get_sync_client(url=server.url, api_key=None) as client:
        yield RemoteGraph("slow", sync_client=client)


@pytest.mark.parametrize(
    ("on_disconnect", "expected"), [("cancel", "interrupted"), ("continue", "running")]
)
def test_who_stops_reading_cancels_the_run_if_it_was_asked_to(
    slow: RemoteGraph, on_disconnect: str, expected: str
) -> None:
    client: Any = slow.sync_client
    thread_id = client.threads.create()["thread_id"]
    config = {"configurable": {"thread_id": thread_id}}
    stream: Any = slow.stream(
        {"n": 2, "delay": 600}, config, stream_mode="custom", on_disconnect=on_disconnect
    )
    assert next(stream) == {"i": 0}
    stream.close()
    (run,) = client.runs.list(thread_id)
    if expected == "interrupted":
        client.runs.join(thread_id, run["run_id"])
    assert client.runs.get(thread_id, run["run_id"])["status"] == expected
    if expected == "running":
        client.runs.cancel(thread_id, run["run_id"])


def test_leaving_the_graph_around_it_lets_go_of_the_connection(server: Running) -> None:
    async def leave() -> None:
        async with get_client(url=server.url, api_key=None) as client:
            builder = StateGraph(dict).add_node("there", RemoteGraph("slow", client=client))
            graph = builder.add_edge(START, "there").compile()
            given = {"n": 2, "delay": 600}
            stream: Any = graph.astream(given, stream_mode="custom", subgraphs=True)
            assert (await stream.__anext__())[1] == {"i": 0}
            await stream.aclose()

    asyncio.run(leave())
    server.http.post("/runs/cancel", json={"status": "all"})


class Sent:
    """A client's runs that only note what they are asked."""

    def __init__(self) -> None:
        self.arguments: list[dict[str, Any]] = []
        self.runs = self

    def stream(self, **arguments: Any) -> Iterator[Any]:
        self.arguments.append(arguments)
        yield from ()


def test_only_what_json_holds_and_no_engine_has_put_there_is_sent() -> None:
    client: Any = Sent()
    graph = RemoteGraph("a", sync_client=client).with_config({"tags": ["t"]})
    configurable = {"thread_id": 7, "x": object(), "y": (1, {"z": object()}), "__pregel_z": 1}
    graph.invoke({}, {"configurable": configurable, "metadata": {"m": 1}, "max_concurrency": 2})
    (sent,) = client.arguments
    assert sent["thread_id"] == "7"
    assert sent["config"] == {
        "tags": ["t"],
        "metadata": {"m": 1},
        "configurable": {"y": [1, {}]},
    }


def test_a_command_is_sent_as_servers_take_it() -> None:
    client: Any = Sent()
    command: Any = Command(resume=1, update={"a": 2}, goto=["n", Send("m", 3)])
    RemoteGraph("a", sync_client=client).invoke(command)
    (sent,) = client.arguments
    assert sent["input"] is None
    goto = ["n", {"node": "m", "input": 3}]
    assert sent["command"] == {"graph": None, "resume": 1, "update": {"a": 2}, "goto": goto}


def test_a_trace_goes_on_at_the_server_if_it_is_asked_for() -> None:
    from langsmith.run_helpers import tracing_context
    from langsmith.run_trees import RunTree

    client: Any = Sent()
    graph = RemoteGraph("a", sync_client=client, distributed_tracing=True)
    tree = RunTree(name="outer")
    with tracing_context(enabled=True, parent=tree):
        graph.invoke({}, headers={"baggage": "k=v", "x": "1"})
    (sent,) = client.arguments
    assert tree.trace_id.hex in sent["headers"]["langsmith-trace"].replace("-", "")
    assert sent["headers"]["baggage"].startswith("k=v,")
    assert sent["headers"]["x"] == "1"


def test_it_is_not_sent_to_an_executor_of_the_graph_around_it() -> None:
    from millstream.executors import ProcessExecutor

    client: Any = Sent()
    builder = StateGraph(MessagesState).add_node("there", RemoteGraph("a", sync_client=client))
    graph = builder.add_edge(START, "there").compile(executor=ProcessExecutor())
    assert graph.nodes["there"].executor is None


def test_programs_of_langgraph_find_it_under_that_name() -> None:
    code = (
        "import millstream; millstream.install_as_langgraph(); "
        "from langgraph.pregel.remote import RemoteGraph; print(RemoteGraph.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "millstream.pregel.remote"
