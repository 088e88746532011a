"""A graph on a server as a node of a graph that runs here: like a nested graph."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Final
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_sdk import get_client, get_sync_client
from typing_extensions import TypedDict

from millstream.errors import ParentCommand
from millstream.graph import START, MessagesState, StateGraph
from millstream.pregel.remote import RemoteException, RemoteGraph
from millstream.types import Command, Send, interrupt
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")

HI: Final = {"messages": [{"role": "user", "content": "hi"}]}


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


CALLS: list[str] = []
"""What ran on the server."""


def twice(state: Log) -> Log:
    CALLS.append("twice")
    return {"log": [interrupt("first?"), interrupt("second?")]}


def before(state: Log) -> Log:
    CALLS.append("before")
    return {"log": ["before"]}


def leave(state: Log) -> Command[Any]:
    return Command(graph=Command.PARENT, goto=Send("after", {"log": []}), update={"log": ["left"]})


def fail_once(state: Log) -> Log:
    CALLS.append("fail")
    if CALLS.count("fail") == 1:
        raise ValueError("not yet")
    return {"log": ["done"]}


GATE = threading.Event()


def gated(state: Log) -> Log:
    CALLS.append("gated")
    assert GATE.wait(30)
    return {"log": ["gated"]}


def after(state: Log) -> Log:
    return {"log": ["after"]}


def make_graph(*nodes: Any) -> Any:
    builder = StateGraph(Log).add_sequence(nodes)
    return builder.add_edge(START, nodes[0].__name__).compile()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    graphs = {
        **make_graphs(),
        "twice": make_graph(before, twice),
        "leave": make_graph(leave),
        "fails": make_graph(before, fail_once),
        "gated": make_graph(before, gated),
    }
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


class Remotes:
    """Remote graphs, and the graphs around them, through sync or async methods."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.client = get_client(url=url, api_key=None)
        self.sync_client = get_sync_client(url=url, api_key=None)

    def graph(self, name: str) -> RemoteGraph:
        return RemoteGraph(name, client=self.client, sync_client=self.sync_client)

    def around(self, name: str, schema: Any = Log) -> Any:
        """Return a graph that runs the remote one, and another node after it."""
        builder = StateGraph(schema).add_node("there", self.graph(name)).add_node("after", after)
        builder.add_edge(START, "there")
        return builder.compile(checkpointer=InMemorySaver())

    def invoke(self, graph: Any, *args: Any, **kwargs: Any) -> Any:
        if self.loop is None:
            return graph.invoke(*args, **kwargs)
        return self.loop.run_until_complete(graph.ainvoke(*args, **kwargs))

    def stream(self, graph: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if self.loop is None:
            return list(graph.stream(*args, **kwargs))

        async def collect() -> list[Any]:
            return [part async for part in graph.astream(*args, **kwargs)]

        return self.loop.run_until_complete(collect())


@pytest.fixture(params=["async", "sync"])
def remotes(request: pytest.FixtureRequest, serving: Running) -> Iterator[Remotes]:
    loop = asyncio.new_event_loop()
    remotes = Remotes(serving.url, loop if request.param == "async" else None)
    CALLS.clear()
    yield remotes
    remotes.sync_client.close()
    loop.run_until_complete(remotes.client.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def cut(stream: Any, is_async: bool) -> Any:
    """Return a stream whose connection breaks when the node `before` is done."""

    def broken(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for part in stream(*args, **kwargs):
            yield part
            if part.event == "updates":
                raise ConnectionError("the network is down")

    async def abroken(*args: Any, **kwargs: Any) -> Any:
        async for part in stream(*args, **kwargs):
            yield part
            if part.event == "updates":
                raise ConnectionError("the network is down")

    return abroken if is_async else broken


def new_thread() -> dict[str, Any]:
    return {"configurable": {"thread_id": str(uuid4())}}


def test_its_questions_are_those_of_the_caller_and_it_goes_on_with_the_answers(
    remotes: Remotes,
) -> None:
    outer, thread = remotes.around("twice"), new_thread()
    (first,) = remotes.invoke(outer, {"log": ["in"]}, thread)["__interrupt__"]
    (second,) = remotes.invoke(outer, Command(resume="a"), thread)["__interrupt__"]
    assert (first.value, second.value) == ("first?", "second?")
    answered = remotes.invoke(outer, Command(resume={second.id: "b"}), thread)
    assert answered["log"][-4:] == ["in", "before", "a", "b"]
    assert CALLS == ["before", "twice", "twice", "twice"]


def test_going_on_without_an_answer_asks_again_and_runs_nothing(remotes: Remotes) -> None:
    outer, thread = remotes.around("twice"), new_thread()
    asked = remotes.invoke(outer, {"log": []}, thread)["__interrupt__"]
    assert remotes.invoke(outer, None, thread)["__interrupt__"] == asked
    assert CALLS == ["before", "twice"]


def test_after_a_failure_it_goes_on_where_it_failed(remotes: Remotes) -> None:
    outer, thread = remotes.around("fails"), new_thread()
    with pytest.raises(RemoteException, match="not yet"):
        remotes.invoke(outer, {"log": []}, thread)
    assert remotes.invoke(outer, None, thread)["log"] == ["before", "done"]
    assert CALLS == ["before", "fail", "fail"]


def test_a_run_that_outlives_its_caller_is_waited_for_and_not_repeated(remotes: Remotes) -> None:
    outer, thread = remotes.around("gated"), new_thread()
    GATE.clear()

    streams = [remotes.client.runs, remotes.sync_client.runs]
    for runs in streams:
        runs.stream = cut(runs.stream, remotes.loop is not None)  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        remotes.invoke(outer, {"log": []}, thread)
    for runs in streams:
        del runs.stream
    threading.Timer(1, GATE.set).start()
    assert remotes.invoke(outer, None, thread)["log"] == ["before", "gated"]
    assert CALLS == ["before", "gated"]


def test_its_command_for_a_parent_reaches_the_graph_around_it(remotes: Remotes) -> None:
    assert remotes.invoke(remotes.around("leave"), {"log": []}, new_thread())["log"] == [
        "left",
        "after",
    ]


def test_its_command_for_a_parent_reaches_a_caller_outside_of_graphs(remotes: Remotes) -> None:
    with pytest.raises(ParentCommand) as raised:
        remotes.invoke(remotes.graph("leave"), {"log": []})
    command = raised.value.args[0]
    assert (command.goto, command.update) == (Send("after", {"log": []}), {"log": ["left"]})


def test_what_it_streams_is_in_the_namespace_of_its_node(remotes: Remotes) -> None:
    outer = remotes.around("sink", MessagesState)
    modes = ["updates", "custom", "messages", "tasks", "values"]
    parts = remotes.stream(outer, HI, new_thread(), stream_mode=modes, subgraphs=True)
    found = {(mode, *(place.partition(":")[0] for place in ns)) for ns, mode, _ in parts}
    everywhere = {(m, *ns) for m in modes for ns in ((), ("there",), ("there", "inner"))}
    assert found == everywhere - {("custom",), ("messages",)}
    tokens = [payload[0] for ns, mode, payload in parts if mode == "messages" and len(ns) == 2]
    assert all(isinstance(token, AIMessageChunk) for token in tokens)
    assert "".join(str(token.content) for token in tokens) == "sub graph says hi"


def test_without_subgraphs_nothing_of_it_is_streamed(remotes: Remotes) -> None:
    outer = remotes.around("sink", MessagesState)
    parts = remotes.stream(outer, HI, new_thread(), stream_mode=["updates", "custom", "messages"])
    assert [mode for mode, _ in parts] == ["updates"]


def test_run_streams_know_it_as_a_nested_graph(remotes: Remotes) -> None:
    outer = remotes.around("sink", MessagesState)
    if remotes.loop is None:
        with outer.stream_events(HI, new_thread(), version="v3") as run:
            nested = [
                (sub.graph_name, [str(m.text) for m in sub.messages]) for sub in run.subgraphs
            ]
    else:

        async def read() -> list[Any]:
            async with await outer.astream_events(HI, new_thread(), version="v3") as run:
                return [
                    (sub.graph_name, [str(await m.text) async for m in sub.messages])
                    async for sub in run.subgraphs
                ]

        nested = remotes.loop.run_until_complete(read())
    assert nested == [("there", ["final answer"])]


def test_a_node_that_calls_it_twice_asks_each_in_turn(remotes: Remotes) -> None:
    graph = remotes.graph("hitl")

    def both(state: Log) -> Log:
        answers = [graph.invoke(HI)["answer"] for _ in range(2)]
        return {"log": answers}

    async def aboth(state: Log) -> Log:
        return {"log": [(await graph.ainvoke(HI))["answer"] for _ in range(2)]}

    builder = StateGraph(Log).add_node("both", both if remotes.loop is None else aboth)
    outer = builder.add_edge(START, "both").compile(checkpointer=InMemorySaver())
    thread = new_thread()
    for answer in ("one", "two"):
        remotes.invoke(outer, {"log": []} if answer == "one" else Command(resume="one"), thread)
    assert remotes.invoke(outer, Command(resume="two"), thread)["log"] == ["one", "two"]


def test_a_checkpoint_that_the_config_names_is_gone_on_from(remotes: Remotes) -> None:
    graph, thread = remotes.graph("twice"), new_thread()
    remotes.invoke(graph, {"log": []}, thread)
    started = [s for s in graph.get_state_history(thread) if s.next == ("before",)]
    CALLS.clear()
    remotes.invoke(graph, None, started[0].config)
    assert CALLS == ["before", "twice"]


def test_the_state_of_an_empty_thread_is_empty(remotes: Remotes) -> None:
    thread = {"configurable": {"thread_id": remotes.sync_client.threads.create()["thread_id"]}}
    state = remotes.graph("twice").get_state(thread)
    assert (state.values, state.next, state.metadata) == ({}, (), None)


def test_events_of_langchain_come_from_the_server(remotes: Remotes) -> None:
    async def collect() -> list[Any]:
        graph = remotes.graph("chat")
        return [e async for e in graph.astream_events(HI, include_types=["chat_model"])]

    loop = remotes.loop or asyncio.new_event_loop()
    events = loop.run_until_complete(collect())
    if remotes.loop is None:
        loop.run_until_complete(remotes.client.aclose())
        loop.close()
    assert {event["event"] for event in events} == {
        "on_chat_model_start",
        "on_chat_model_stream",
        "on_chat_model_end",
    }
