"""Run streams of a RemoteGraph: those of the same graph that runs here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest
from langgraph_sdk import get_client, get_sync_client
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.pregel.remote import RemoteException, RemoteGraph
from millstream.stream.transformers import CustomTransformer, UpdatesTransformer
from millstream.types import Command
from server.fixtures import Running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")

HI: Final = {"messages": [{"role": "user", "content": "hi"}]}


NAMES: Final = ("values", "messages", "subgraphs", "lifecycle", "updates", "custom")
GIVEN: Final[Any] = {"version": "v3", "transformers": [UpdatesTransformer, CustomTransformer]}


async def aviews(graph: Any, *args: Any) -> dict[str, Any]:
    """Return what the views of one run show, read by tasks side by side."""

    async def read(run: Any, name: str) -> list[Any]:
        if name == "messages":
            return [str(await message.text) async for message in run.messages]
        if name == "subgraphs":
            return [
                (
                    sub.graph_name,
                    [
                        (n, str(await i.text) if n == "messages" else i)
                        async for n, i in sub.interleave("values", "messages")
                    ],
                )
                async for sub in run.subgraphs
            ]
        return [item async for item in run.extensions[name]]

    async with await graph.astream_events(*args, **GIVEN) as run:
        found = await asyncio.gather(*(read(run, name) for name in NAMES))
        ends = {"output": await run.output(), "interrupts": await run.interrupts()}
        return {**dict(zip(NAMES, found, strict=True)), **ends}


class Streams:
    """Run streams of graphs, read through sync or async methods into plain values."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.client = get_client(url=url, api_key=None) if loop else None
        self.sync_client = get_sync_client(url=url, api_key=None)

    def graph(self, name: str) -> RemoteGraph:
        return RemoteGraph(name, client=self.client, sync_client=self.sync_client)

    def new_thread(self) -> dict[str, Any]:
        return {"configurable": {"thread_id": self.sync_client.threads.create()["thread_id"]}}

    def views(self, graph: Any, *args: Any) -> dict[str, Any]:
        """Return what the views of one run show, all read together."""
        if self.loop is not None:
            return self.loop.run_until_complete(aviews(graph, *args))
        seen: dict[str, list[Any]] = {name: [] for name in NAMES}
        with graph.stream_events(*args, **GIVEN) as run:
            for name, item in run.interleave(*NAMES):
                if name == "messages":
                    item = str(item.text)
                elif name == "subgraphs":
                    inner = item.interleave("values", "messages")
                    shown = [(n, str(i.text) if n == "messages" else i) for n, i in inner]
                    item = item.graph_name, shown
                seen[name].append(item)
            return {**seen, "output": run.output, "interrupts": run.interrupts}

    def output(self, graph: Any, *args: Any, **kwargs: Any) -> Any:
        if self.loop is None:
            return graph.stream_events(*args, version="v3", **kwargs).output

        async def read() -> Any:
            return await (await graph.astream_events(*args, version="v3", **kwargs)).output()

        return self.loop.run_until_complete(read())


@pytest.fixture(params=["async", "sync"])
def streams(request: pytest.FixtureRequest, server: Running) -> Iterator[Streams]:
    loop = asyncio.new_event_loop() if request.param == "async" else None
    streams = Streams(server.url, loop)
    yield streams
    streams.sync_client.close()
    if loop is not None and streams.client is not None:
        loop.run_until_complete(streams.client.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def plain(value: Any) -> Any:
    """Return a value without ids, and with messages by their text."""
    if isinstance(value, dict):
        if "content" in value:
            return value["content"]
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.partition(":")[0]
    return getattr(value, "content", value)


def without_tasks(views: dict[str, Any]) -> dict[str, Any]:
    """Return views without what differs from run to run."""
    for item in views["lifecycle"]:
        item.pop("trigger_call_id", None)
    return {name: plain(items) for name, items in views.items()}


@pytest.mark.parametrize(("name", "nested"), [("sink", ["inner"]), ("tools", [])])
def test_all_views_are_those_of_the_graph_that_runs_here(
    streams: Streams, name: str, nested: list[str]
) -> None:
    here = asyncio.run(aviews(make_graphs()[name], HI))
    there = streams.views(streams.graph(name), HI)
    assert [graph_name for graph_name, _ in there["subgraphs"]] == nested
    assert without_tasks(there) == without_tasks(here)


def test_its_questions_are_shown_and_answered(streams: Streams) -> None:
    graph, thread = streams.graph("hitl"), streams.new_thread()
    (question,) = streams.views(graph, HI, thread)["interrupts"]
    assert question.value == {"question": "approve?", "n": 1}
    answered = streams.output(graph, Command(resume={question.id: "yes"}), thread)
    assert answered["messages"][-1]["content"] == "answer=yes"


def test_its_error_is_that_of_the_run(streams: Streams) -> None:
    with pytest.raises(RemoteException, match="boom in tick"):
        streams.output(streams.graph("slow"), {"n": 1, "boom": True})


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "interrupted"), ({"on_disconnect": "continue"}, "running")]
)
def test_a_run_whose_stream_is_left_is_cancelled_unless_it_shall_go_on(
    streams: Streams, given: dict[str, Any], expected: str
) -> None:
    graph, thread = streams.graph("slow"), streams.new_thread()
    long, options = {"n": 2, "delay": 600}, {"transformers": [CustomTransformer], **given}
    if streams.loop is None:
        with graph.stream_events(long, thread, version="v3", **options) as run:
            assert next(iter(run.custom)) == {"i": 0}
    else:

        async def leave() -> None:
            async with await graph.astream_events(long, thread, version="v3", **options) as run:
                assert await anext(aiter(run.custom)) == {"i": 0}

        streams.loop.run_until_complete(leave())
    runs, thread_id = streams.sync_client.runs, thread["configurable"]["thread_id"]
    (left,) = runs.list(thread_id)
    if expected == "interrupted":
        runs.join(thread_id, left["run_id"])
    assert runs.get(thread_id, left["run_id"])["status"] == expected
    if expected == "running":
        runs.cancel(thread_id, left["run_id"])


def test_in_a_node_it_is_the_stream_of_the_nested_graph(streams: Streams) -> None:
    graph = streams.graph("chat")

    class Said(TypedDict, total=False):
        said: list[str]

    def ask(state: Said) -> Said:
        return {
            "said": [
                str(message.text) for message in graph.stream_events(HI, version="v3").messages
            ]
        }

    async def aask(state: Said) -> Said:
        run = await graph.astream_events(HI, version="v3")
        return {"said": [str(await message.text) async for message in run.messages]}

    builder = StateGraph(Said).add_node("ask", ask if streams.loop is None else aask)
    outer = builder.add_edge(START, "ask").compile()
    assert streams.output(outer, {})["said"] == ["hello from the fake model"]


def test_what_a_run_stream_decides_itself_is_refused(streams: Streams) -> None:
    with pytest.raises(TypeError, match="stream_mode"):
        streams.output(streams.graph("chat"), HI, stream_mode="values")
    with pytest.raises(NotImplementedError, match="control"):
        streams.output(streams.graph("chat"), HI, control=object())
    with pytest.raises(NotImplementedError, match="version='v2'"):
        streams.graph("chat").stream_events(HI)
