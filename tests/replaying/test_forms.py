"""A replay gives every form of stream as the live run did."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel
from typing_extensions import TypedDict

import millstream
from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, MessagesState, StateGraph
from millstream.modes.encoders import encode_json
from millstream.modes.names import MODES
from millstream.prebuilt import ToolCallTransformer, ToolNode
from millstream.stream.transformers import CheckpointsTransformer, CustomTransformer
from millstream.types import Command, Send, StreamWriter, interrupt

ROOT = Path(__file__).parents[2]
ALL = list(MODES)


class State(MessagesState, total=False):
    numbers: Annotated[list[int], operator.add]


def model() -> GenericFakeChatModel:
    """Return a model that says a few words."""
    return GenericFakeChatModel(messages=iter([AIMessage("Hello there, my friend")]))


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def talking() -> Any:
    """Return a graph with messages, tools, a nested graph and tasks side by side."""

    def talk(state: State, writer: StreamWriter) -> Any:
        writer({"place": (1, 2)})
        # Seen below, and returned again above.
        return {"messages": [model().invoke("hi"), AIMessage("whole", id="w")]}

    inner = StateGraph(State).add_node("talk", talk).add_edge(START, "talk").compile()

    def call(state: State) -> Any:
        calls: Any = [{"name": "double", "args": {"number": 4}, "id": "c1", "type": "tool_call"}]
        return {"messages": AIMessage("", tool_calls=calls, id="calls")}

    def wrapped(state: State) -> Any:
        return {"messages": inner.invoke(state)["messages"]}

    builder = StateGraph(State)
    builder.add_node("agent", inner)
    builder.add_node(wrapped)
    builder.add_node(call)
    builder.add_node("tools", ToolNode([double]))
    builder.add_node("square", lambda n: {"numbers": [n * n]})
    builder.add_edge(START, "agent").add_edge("agent", "wrapped").add_edge("wrapped", "call")
    builder.add_edge("call", "tools")
    builder.add_conditional_edges("tools", lambda _: [Send("square", 3)], ["square"])
    return builder.compile(checkpointer=InMemorySaver())


def digest() -> Any:
    """Return the graph of `examples/digest.py`."""
    return importlib.import_module("digest").graph


def chat() -> Any:
    """Return the graph of `examples/chat.py`."""
    return importlib.import_module("chat").graph()


def agents() -> Any:
    """Return the graph of `examples/agents.py`."""
    actor = importlib.import_module("actor").Actor
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    make = importlib.import_module("agents").make_graph
    return make(text, lambda part, slowness: actor(part=part))


GRAPHS: list[tuple[Callable[[], Any], Any]] = [
    (talking, {"messages": [HumanMessage("hi", id="h")], "numbers": []}),
    (digest, {"path": str(ROOT / "LICENSE")}),
    (chat, {"messages": "6 * 7"}),
]


@pytest.fixture(params=GRAPHS, ids=lambda each: each[0].__name__)
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Give the test a graph and its input; it runs once with each."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    for name in ("CHAT_MODEL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    make, given = request.param
    return make(), given


def config() -> Any:
    """Return the config of a new thread."""
    return {"configurable": {"thread_id": "1"}}


def as_told(item: Any) -> str:
    """Return an item as text, without ids of tools' messages: they are given one afterwards."""
    return re.sub(r"(ToolMessage\((?:(?! id=)[^()])*), id='[^']*'", r"\1", repr(item))


def by_place(items: list[Any]) -> dict[Any, list[str]]:
    """Return the items by where they come from: side by side, graphs may change places."""
    places: dict[Any, list[str]] = {}
    for item in items:
        if isinstance(item, dict):
            place = item["ns"] if "ns" in item else tuple(item["params"]["namespace"])
        else:
            place = item[0] if isinstance(item[0], tuple) else ()
        places.setdefault(place, []).append(as_told(item))
    return places


@pytest.mark.parametrize("subgraphs", [False, True], ids=["alone", "subgraphs"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_streams_are_equal(
    example: tuple[Any, Any], driver: Any, subgraphs: bool, version: str
) -> None:
    graph, given = example
    options = {"stream_mode": ALL, "subgraphs": subgraphs, "version": version}

    live = driver.stream(graph, given, config(), **options, record=(file := io.BytesIO()))
    shown = driver.stream(millstream.replay(file), given, config(), **options)

    assert len(live) > 5
    assert by_place(shown) == by_place(live)
    if graph.name != "digest":
        assert [*map(as_told, shown)] == [*map(as_told, live)]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_streams_of_agents_side_by_side_are_equal(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    options = {"stream_mode": ALL, "subgraphs": True, "version": version}
    file = io.BytesIO()

    async def read(source: Any, **more: Any) -> list[Any]:
        given = {"messages": "Look at it."}
        return [item async for item in source.astream(given, **options, **more)]

    live = asyncio.run(read(agents(), record=file))
    shown = asyncio.run(read(millstream.replay(file)))

    assert len(live) > 100
    assert by_place(shown) == by_place(live)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_alone_is_equal_whatever_the_recorded_reader_wanted(mode: str) -> None:
    given = {"messages": [HumanMessage("hi", id="h")], "numbers": []}
    live = list(talking().stream(given, config(), stream_mode=mode, record=(file := io.BytesIO())))
    talking().invoke(given, config(), record=(other := io.BytesIO()))

    shown = list(millstream.replay(file).stream(stream_mode=mode))
    of_other = list(millstream.replay(other).stream(stream_mode=mode))

    assert [*map(as_told, shown)] == [*map(as_told, live)]
    # Ids and times are others in another run.
    assert len(of_other) == len(live)


def plain_events(events: list[Any]) -> list[Any]:
    """Return protocol events without what is made up for their reader."""
    return [
        {
            **{key: value for key, value in event.items() if key != "event_id"},
            "params": {**event["params"], "timestamp": 0},
        }
        for event in events
    ]


EXTRA: Any = [CustomTransformer, CheckpointsTransformer, ToolCallTransformer]


def test_run_streams_are_equal() -> None:
    graph, given = talking(), {"messages": [HumanMessage("hi", id="h")], "numbers": []}
    live = graph.stream_events(
        given, config(), version="v3", transformers=EXTRA, record=(file := io.BytesIO())
    )
    seen = plain_events(list(live))

    shown = millstream.replay(file).stream_events(version="v3", transformers=EXTRA)

    assert len(seen) > 20
    assert [*map(as_told, plain_events(list(shown)))] == [*map(as_told, seen)]
    assert as_told(shown.output) == as_told(live.output)


def test_async_run_streams_are_equal(example: tuple[Any, Any]) -> None:
    graph, given = example

    async def read(source: Any, **options: Any) -> list[Any]:
        run = await source.astream_events(given, config(), version="v3", **options)
        async with run:
            return plain_events([event async for event in run])

    live = asyncio.run(read(graph, record=(file := io.BytesIO())))
    shown = asyncio.run(read(millstream.replay(file)))

    def placed(events: list[Any]) -> Any:
        return by_place([{**event, "seq": 0} for event in events])

    assert placed(shown) == placed(live)


def test_words_of_models_are_read_from_the_views_of_a_replay() -> None:
    given = {"messages": [HumanMessage("hi", id="h")], "numbers": []}
    talking().invoke(given, config(), record=(file := io.BytesIO()))

    run = millstream.replay(file).stream_events()
    said = [[message.text for message in handle.messages] for handle in run.subgraphs]

    words = "Hello there, my friend"
    assert [[str(text) for text in texts] for texts in said] == [[words, "whole"], [words]]


def test_events_of_langchain_are_equal() -> None:
    graph, given = talking(), {"messages": [HumanMessage("hi", id="h")], "numbers": []}

    async def read(source: Any, **options: Any) -> list[Any]:
        return [e async for e in source.astream_events(given, config(), version="v2", **options)]

    live = asyncio.run(read(graph, record=(file := io.BytesIO())))
    shown = asyncio.run(read(millstream.replay(file)))
    of_models = asyncio.run(read(millstream.replay(file), include_types=["chat_model"]))

    assert [*map(as_told, shown)] == [*map(as_told, live)]
    assert of_models == [e for e in live if e["event"].startswith("on_chat_model")]
    assert of_models


def test_events_that_were_not_recorded_are_missed() -> None:
    talking().invoke({"messages": "hi", "numbers": []}, config(), record=(file := io.BytesIO()))

    async def read() -> None:
        async for _ in millstream.replay(file).astream_events(version="v2"):
            pass

    with pytest.raises(ValueError, match="has no events of LangChain"):
        asyncio.run(read())


def test_runs_that_were_started_are_replayed() -> None:
    graph, file = talking(), io.BytesIO()
    given = {"messages": [HumanMessage("hi", id="h")], "numbers": []}
    with graph.start(given, config(), version="v3", record=file) as run:
        live = [(event.mode, event.data) for event in run.events() if not event.namespace]
        output = run.wait()

    shown = list(millstream.replay(file).stream(stream_mode=["updates", "custom"]))

    assert shown == [(mode, data) for mode, data in live if mode in ("updates", "custom")]
    assert millstream.replay(file).invoke() == output


def test_a_question_and_its_answer_are_two_recordings(driver: Any) -> None:
    def ask(state: State) -> Any:
        return {"numbers": [interrupt("how many?")]}

    builder = StateGraph(State).add_node(ask).add_edge(START, "ask")
    graph = builder.compile(checkpointer=InMemorySaver())

    for given, status in (({"numbers": []}, "interrupted"), (Command(resume=3), "success")):
        live = driver.stream(graph, given, config(), stream_mode=ALL, record=(file := io.BytesIO()))
        replay = millstream.replay(file)
        assert driver.stream(replay, None, stream_mode=ALL) == live
        assert replay.status == status
        assert replay.header["input"] == given
        # With the question, as the graph itself returns it.
        assert ("__interrupt__" in replay.invoke()) is (status == "interrupted")


class Order(BaseModel):
    item: str
    count: int = 0


def test_states_of_classes_come_back_with_the_graph(driver: Any) -> None:
    builder = StateGraph(Order)
    builder.add_node("add", lambda order: {"count": order.count + 1})
    graph = builder.add_edge(START, "add").compile()
    options = {"stream_mode": ["values", "tasks"], "version": "v2"}

    live = driver.stream(graph, {"item": "mill"}, **options, record=(file := io.BytesIO()))

    assert driver.stream(millstream.replay(file, graph=graph), None, **options) == live
    first = driver.stream(millstream.replay(file), None, **options)[0]
    assert first["data"] == {"item": "mill"}
    assert live[0]["data"] == Order(item="mill")


class Failing(TypedDict, total=False):
    n: int


def test_a_run_that_failed_fails_again(driver: Any) -> None:
    def fail(state: Failing, writer: StreamWriter) -> Failing:
        writer("before")
        raise KeyError("lost")

    graph = StateGraph(Failing).add_node(fail).add_edge(START, "fail").compile()
    with pytest.raises(KeyError):
        driver.invoke(graph, {"n": 1}, record=(file := io.BytesIO()))
    replay = millstream.replay(file)

    items = replay.stream(stream_mode="custom")
    seen = [next(items)]
    with pytest.raises(KeyError, match="lost"):
        next(items)
    with pytest.raises(KeyError, match="lost"):
        driver.invoke(replay, None)

    assert seen == ["before"]
    assert repr(replay.error) == "KeyError('lost')"


@pytest.mark.parametrize("record_in", ["above", "below"])
def test_a_nested_run_can_be_recorded_itself(driver: Any, record_in: str) -> None:
    below, above = io.BytesIO(), io.BytesIO()
    inner = (
        StateGraph(State)
        .add_node("say", lambda state, writer: writer("inner") or {"numbers": [1]})
        .add_edge(START, "say")
        .compile()
    )

    def call(state: State) -> Any:
        return {"numbers": inner.invoke(state, record=below)["numbers"]}

    graph = StateGraph(State).add_node(call).add_edge(START, "call").compile()

    options = {"stream_mode": "custom", "subgraphs": True}
    live = driver.stream(graph, {"numbers": []}, record=above, **options)

    file = above if record_in == "above" else below
    assert list(millstream.replay(file).stream(**options)) == live
    assert list(millstream.replay(above).stream(stream_mode="custom")) == []


def test_a_file_takes_a_fifth_of_the_json_of_its_events(example: tuple[Any, Any]) -> None:
    graph, given = example
    graph.invoke(given, config(), record=(file := io.BytesIO()))

    items = millstream.replay(file).stream(stream_mode=ALL, subgraphs=True)
    text = sum(len(json.dumps(encode_json((*item, None)))) + 1 for item in items)

    assert len(file.getvalue()) * 5 <= text
