"""langgraph-sdk's own client of the protocol, in both its kinds and over both transports."""

from __future__ import annotations

import ast
import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.types import StreamWriter
from server.cutting import cutting
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.streams import SINK

HI = {"messages": [{"role": "user", "content": "hi"}]}
SUM = {"messages": [{"role": "user", "content": "1+2"}]}

both = pytest.mark.parametrize("transport", ["sse", "websocket"])


NAMED = {"name": "progress", "payload": {"n": 3}}


class State(TypedDict):
    n: int


def name_it(state: State, writer: StreamWriter) -> None:
    writer(NAMED)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with one graph more than the recorded one had."""
    naming = StateGraph(State).add_node(name_it).add_edge(START, "name_it").compile()
    config = config_of({**make_graphs(), "naming": naming}, tmp_path_factory.mktemp("server"))
    with running(config) as server:
        yield server


Scenario = Callable[[Any], Awaitable[Any]]


def played(server: Running, graph: str, transport: Any, scenario: Scenario) -> Any:
    """Return what a scenario finds in the stream of a thread of its own."""

    async def play() -> Any:
        async with (
            get_client(url=server.url) as client,
            client.threads.stream(assistant_id=graph, transport=transport) as thread,
        ):
            return await asyncio.wait_for(scenario(thread), 20)

    return asyncio.run(play())


@both
def test_messages_are_streamed(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input=HI)
        # All of them first, and then what they say.
        messages = [message async for message in thread.messages]
        return [await message.text for message in messages], await thread.output

    texts, output = played(server, "chat", transport, scenario)
    assert texts == ["hello from the fake model"]
    assert output["messages"][-1]["content"] == "hello from the fake model"


@both
def test_states_are_streamed(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        assert (thread.assistant_id, len(thread.thread_id)) == ("sink", 36)
        await thread.run.start(input=SINK)
        return [values.get("log") async for values in thread.values]

    logs = played(server, "sink", transport, scenario)
    assert logs[-1] == ["first", "last"]


@both
def test_nested_graphs_have_handles_that_end(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input=SINK)
        handles = [handle async for handle in thread.subgraphs]
        messages = [message async for message in handles[0].messages]
        return handles, [await message.text for message in messages]

    handles, texts = played(server, "sink", transport, scenario)
    assert [(handle.graph_name, handle.status) for handle in handles] == [("inner", "completed")]
    assert texts == ["sub graph says hi"]


@both
def test_calls_of_tools_have_handles(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input=SUM)
        calls = [call async for call in thread.tool_calls]
        return [(call.name, call.input, await call.output) for call in calls]

    [(name, given, output)] = played(server, "tools", transport, scenario)
    assert (name, given, output["content"]) == ("add", {"a": 1, "b": 2}, "3")


@both
def test_channels_that_need_to_be_asked_for_are_interleaved(
    server: Running, transport: Any
) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input=SINK)
        channels = ["updates", "checkpoints", "tasks", "values"]
        return [item async for item in thread.interleave_projections(channels)]

    items = played(server, "sink", transport, scenario)
    assert {channel for channel, _ in items} == {"updates", "checkpoints", "tasks", "values"}
    assert [item["node"] for channel, item in items if channel == "updates"] == [
        "first",
        "inner",
        "last",
    ]


@both
def test_a_question_is_answered(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input=HI)
        async for _ in thread.values:
            pass
        assert thread.interrupted
        asked = list(thread.interrupts)
        await thread.run.respond("yes")
        return asked, await thread.output

    [asked], output = played(server, "hitl", transport, scenario)
    assert asked["value"] == {"question": "approve?", "n": 1}
    assert output["answer"] == "yes"


@both
def test_a_failure_is_raised(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input={"n": 1, "boom": True})
        return await thread.output

    with pytest.raises(RuntimeError, match="boom in tick"):
        played(server, "slow", transport, scenario)


@both
def test_a_thread_is_streamed_again(server: Running, transport: Any) -> None:
    thread_id = str(uuid.uuid4())

    async def play() -> list[int]:
        lengths = []
        async with get_client(url=server.url) as client:
            for is_new in (True, False):
                async with client.threads.stream(
                    thread_id, assistant_id="chat", transport=transport
                ) as thread:
                    if is_new:
                        await thread.run.start(input=HI)
                    output = await asyncio.wait_for(thread.output, 20)
                    lengths.append(len(output["messages"]))
        return lengths

    assert asyncio.run(play()) == [2, 2]


@both
def test_what_is_said_is_read_event_by_event(server: Running, transport: Any) -> None:
    async def events(thread: Any) -> Any:
        events = thread.events
        await thread.run.start(input={"n": 3})
        said: list[Any] = []
        while "custom" not in said:
            said.append((await anext(events)).get("method"))
        return said

    async def subscription(thread: Any) -> Any:
        await thread.run.start(input={"n": 3})
        started = await anext(thread.subscribe(["lifecycle"]))
        tree = await thread.agent.get_tree()
        await thread.close()
        return started["params"]["data"]["event"], [node["id"] for node in tree["nodes"]]

    async def subagents(thread: Any) -> Any:
        await thread.run.start(input={"n": 3})
        return [agent async for agent in thread.subagents]

    assert "lifecycle" in played(server, "naming", transport, events)
    nodes = ["__start__", "name_it", "__end__"]
    assert played(server, "naming", transport, subscription) == ("running", nodes)
    assert played(server, "naming", transport, subagents) == []


@both
def test_what_is_written_with_a_name_is_an_extension(server: Running, transport: Any) -> None:
    async def scenario(thread: Any) -> Any:
        await thread.run.start(input={"n": 3})
        return [item async for item in thread.extensions["progress"]]

    assert played(server, "naming", transport, scenario) == [NAMED]


# Its reader of server-sent events notices with the next heartbeat that it was closed.
@pytest.mark.parametrize("transport", [pytest.param("sse", marks=pytest.mark.long), "websocket"])
def test_the_sync_client_streams_and_answers(server: Running, transport: Any) -> None:
    with get_sync_client(url=server.url) as client:
        with client.threads.stream(assistant_id="chat", transport=transport) as stream:
            stream.run.start(input=HI)
            texts = [str(message.text) for message in list(stream.messages)]
            length = len(stream.output["messages"])
        with client.threads.stream(assistant_id="hitl", transport=transport) as stream:
            stream.run.start(input=HI)
            list(stream.values)
            assert stream.interrupted
            [asked] = stream.interrupts
            stream.run.respond("yes")
            answer = stream.output["answer"]

    assert texts == ["hello from the fake model"]
    assert length == 2
    assert asked["value"] == {"question": "approve?", "n": 1}
    assert answer == "yes"


READ: dict[str, Callable[[Any], Any]] = {
    "subscribe": lambda stream: next(stream.subscribe(["lifecycle"]))["params"]["data"]["event"],
    "extensions": lambda stream: list(stream.extensions["progress"]),
    "subagents": lambda stream: list(stream.subagents),
    "subgraphs": lambda stream: list(stream.subgraphs),
    "tool_calls": lambda stream: [
        (call.name, call.output["content"]) for call in stream.tool_calls
    ],
    "interleave_projections": lambda stream: {
        channel for channel, _ in stream.interleave_projections(["updates"])
    },
}


@pytest.mark.long
@both
def test_the_sync_client_reads_each_channel(server: Running, transport: Any) -> None:
    at = str(uuid.uuid4())
    with get_sync_client(url=server.url) as client:
        with client.threads.stream(at, assistant_id="naming", transport=transport) as stream:
            assert (stream.thread_id, stream.assistant_id) == (at, "naming")
            events = stream.events
            stream.run.start(input={"n": 3})
            said: list[Any] = []
            while "custom" not in said:
                said.append(next(events).get("method"))
            nodes = [node["id"] for node in stream.agent.get_tree()["nodes"]]
            stream.close()
        found = {}
        for name, read in READ.items():
            graph = "tools" if name == "tool_calls" else "naming"
            with client.threads.stream(assistant_id=graph, transport=transport) as stream:
                stream.run.start(input=SUM if graph == "tools" else {"n": 3})
                found[name] = read(stream)

    assert "lifecycle" in said
    assert nodes == ["__start__", "name_it", "__end__"]
    assert found == {
        "subscribe": "running",
        "extensions": [NAMED],
        "subagents": [],
        "subgraphs": [],
        "tool_calls": [("add", "3")],
        "interleave_projections": {"updates"},
    }


@pytest.mark.parametrize(("make", "name"), [(get_client, "thread"), (get_sync_client, "stream")])
def test_every_member_of_a_thread_s_stream_is_used_here(make: Any, name: str) -> None:
    stream = make(url="http://127.0.0.1:1").threads.stream(assistant_id="chat")
    members = {f"{name}.{member}" for member in dir(stream) if member[0] != "_"}
    for part in ("run", "agent"):
        members |= {f"{name}.{part}.{m}" for m in dir(getattr(stream, part)) if m[0] != "_"}
    nodes = ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    # It is for the client itself: a command is answered with it.
    assert members - used <= {f"{name}.observe_applied_through_seq"}


@both
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))]
)
def test_what_a_client_reads_over_connections_that_break_is_the_same(
    server: Running, transport: Any, seed: int
) -> None:
    chance = random.Random(seed)

    async def scenario(thread: Any) -> Any:
        await thread.run.start(input=SINK)
        messages = [message async for message in thread.messages]
        return [await message.text for message in messages], await thread.output

    undisturbed = played(server, "sink", transport, scenario)
    with cutting(server.url, [chance.randrange(300, 3000) for _ in range(4)]) as proxy:
        texts, output = played(server._replace(url=proxy.url), "sink", transport, scenario)
        assert len(proxy.left) < 3

    assert texts == undisturbed[0] == ["final answer"]
    assert output["log"] == undisturbed[1]["log"]
