"""Tokens that differ in their text alone are recorded as that, and come back as what they were."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from typing_extensions import TypedDict

import millstream
from millstream.graph import START, StateGraph
from millstream.recording import Recording
from millstream.recording.listener import Listener, Rooms
from millstream.recording.reading import RecordedRun, RecordingError
from millstream.testing import RecordedModel


class State(TypedDict, total=False):
    n: int


class Speaker(BaseChatModel):
    """Says these chunks, and fails after them if it is to."""

    chunks: list[Any]
    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self.chunks:
            yield ChatGenerationChunk(message=chunk.model_copy(deep=True))
        if self.fails:
            raise ValueError("no more")

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk


def said(content: Any, **fields: Any) -> AIMessageChunk:
    """Return a chunk."""
    return AIMessageChunk(content, **fields)


def words(text: str, **fields: Any) -> list[AIMessageChunk]:
    """Return a chunk for each letter."""
    return [said(letter, **fields) for letter in text]


def call(args: str) -> AIMessageChunk:
    """Return a piece of a tool call."""
    piece: Any = {"name": "f", "args": args, "id": "c", "index": 0, "type": "tool_call_chunk"}
    return said("", tool_call_chunks=[piece])


class Loud(AIMessageChunk):
    """A class of its own."""


OPENAI: Any = {"model_provider": "openai"}
USAGE: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
SPEECHES: dict[str, list[AIMessageChunk]] = {
    "text": words("plain text"),
    "empty": [said(""), *words("abc"), said(""), *words("def")],
    "ids": [*words("abc", id="1"), *words("def", id="2")],
    "provider": words("abcdef", response_metadata=OPENAI),
    "names": [*words("abc"), *words("abc", name="planner")],
    "metadata": [said(each, response_metadata={"at": each}) for each in "abcdef"],
    "call": [*words("abc"), call('{"a"'), call(": 1}"), *words("def")],
    "usage": [*words("abc"), said("", usage_metadata=USAGE), *words("def")],
    "end": [*words("abc"), said("d", chunk_position="last")],
    "blocks": [*words("abc"), said([{"type": "text", "text": "d", "index": 0}]), *words("ef")],
    "reasoning": [
        said([{"type": "reasoning", "reasoning": "hm", "index": 0}]),
        said([{"type": "text", "text": "so", "index": 1}]),
        *words("abc"),
    ],
    "extra": [*words("abc"), *words("abc", of_its_own=1), *words("abc")],
    "kwargs": [*words("abc"), *words("abc", additional_kwargs={"a": "b"}), *words("abc")],
    "letters": words('é"\\\n\ud800\u2028 \U0001f600'),
}


def asking(model: BaseChatModel) -> Any:
    """Return a graph whose node asks a model, with an async twin."""

    def ask(state: State) -> State:
        try:
            for _ in model.stream("go"):
                pass
        except ValueError:
            return {"n": -1}
        return {"n": 1}

    async def aask(state: State, config: RunnableConfig) -> State:
        # Given the config, because Python 3.10 has the task forget it.
        try:
            async for _ in model.astream("go", config):
                pass
        except ValueError:
            return {"n": -1}
        return {"n": 1}

    builder = StateGraph(State).add_node("ask", RunnableLambda(ask, aask))
    return builder.add_edge(START, "ask").compile()


def lines_of(file: io.BytesIO) -> list[dict[str, Any]]:
    """Return the lines of a recording that is whole."""
    return [json.loads(line) for line in gzip.decompress(file.getvalue()).splitlines()]


def shown(file: io.BytesIO, *modes: str) -> list[str]:
    """Return what a replay shows in modes of its file, as text."""
    return [repr(part) for _, part in RecordedRun(file).read(modes)]


@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize("fails", [False, True], ids=["", "fails"])
def test_a_replay_shows_what_was_said(driver: Any, speech: str, fails: bool) -> None:
    graph = asking(Speaker(chunks=SPEECHES[speech], fails=fails))

    live = driver.stream(graph, {}, stream_mode="messages", record=(file := io.BytesIO()))
    replay = millstream.replay(file)

    got = driver.stream(replay, None, stream_mode="messages")
    assert len(got) >= len(SPEECHES[speech])
    assert got == live
    assert [*map(repr, got)] == [*map(repr, live)]
    count = lines_of(file)[-1]["events"]
    assert len([*RecordedRun(file).read()]) == count


def test_tokens_of_a_class_of_their_own_are_not_taken_for_others(driver: Any) -> None:
    graph = asking(Speaker(chunks=[*words("abc"), Loud("d"), *words("ef")]))
    driver.invoke(graph, {}, record=(file := io.BytesIO()))

    got = [message for message, _ in millstream.replay(file).stream(stream_mode="messages")]

    assert [type(each).__name__ for each in got[2:5]] == ["AIMessageChunk", "Unreadable"] + [
        "AIMessageChunk"
    ]
    assert "'d'" in got[3].text


def block_events(events: Any) -> list[str]:
    """Return what events of a run stream tell of messages."""
    return [repr(each["params"]["data"]) for each in events if each["method"] == "messages"]


@pytest.mark.parametrize("speech", SPEECHES)
def test_a_run_stream_of_a_replay_has_the_same_blocks(speech: str) -> None:
    graph = asking(Speaker(chunks=SPEECHES[speech]))
    live = block_events(graph.stream_events({}, version="v3", record=(file := io.BytesIO())))

    got = block_events(millstream.replay(file).stream_events(version="v3"))

    assert len(got) > 3
    assert got == live


def test_tokens_are_written_as_their_text_with_what_they_share_once() -> None:
    graph = asking(Speaker(chunks=words("abcdefgh")))
    graph.invoke({}, record=(file := io.BytesIO()))

    lines = lines_of(file)
    templates = [line for line in lines if "messages" in line.get("value", ())]
    tokens = [line for line in lines if "of" in line]

    assert [line["text"] for line in tokens] == [*"bcdefgh"]  # a message begins with the first
    assert {line["of"] for line in tokens} == {line["define"] for line in templates}
    assert len(templates) == 1
    assert set(tokens[0]) == {"at", "of", "text"}


def test_what_tokens_share_is_let_go_when_their_message_is_over() -> None:
    for model in (Speaker(chunks=words("abc")), Speaker(chunks=words("abc"), fails=True)):
        asking(model).invoke({}, record=(file := io.BytesIO()))

        lines = lines_of(file)
        defined = [line["define"] for line in lines if "define" in line]
        let_go = [number for line in lines for number in line.get("forget", ())]

        assert sorted(let_go) == defined
        assert len(defined) == 3


class Waiting(Speaker):
    """Says its chunks when all have begun to speak who are to."""

    barrier: Any

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk
            await self.barrier.wait()


class Barrier:
    """Has so many wait for each other, again and again."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for the others."""
        self.waiting.append(mine := asyncio.get_running_loop().create_future())
        if len(self.waiting) == self.count:
            for each in self.waiting:
                each.set_result(None)
            self.waiting = []
        await mine


@pytest.mark.parametrize("filter", [None, lambda line: line], ids=["tokens", "filtered"])
def test_a_hundred_models_that_speak_at_once_are_told_from_each_other(filter: Any) -> None:
    count, text = 100, "abc"
    barrier = Barrier(count)

    async def ask(state: State) -> State:
        models = [Waiting(chunks=words(text), barrier=barrier) for _ in range(count)]
        await asyncio.gather(*(model.ainvoke("go") for model in models))
        return {}

    graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
    asyncio.run(graph.ainvoke({}, record=Recording(file := io.BytesIO(), filter=filter)))

    lines = lines_of(file)
    metadata = [line for line in lines if "langgraph_node" in line.get("value", ())]
    assert len(metadata) == 2 * count
    model = RecordedModel(file)
    assert [model.invoke("go").text for _ in range(count)] == [text] * count


def test_a_message_whose_tokens_take_turns_has_few_templates() -> None:
    turns = [chunk for name in "ab" * 20 for chunk in words("xy", name=name)]
    asking(Speaker(chunks=turns)).invoke({}, record=(file := io.BytesIO()))

    templates = [line for line in lines_of(file) if "messages" in line.get("value", ())]

    assert len(templates) == 2


def test_a_filter_sees_tokens_as_events() -> None:
    seen: list[dict[str, Any]] = []

    def keep(line: dict[str, Any]) -> dict[str, Any]:
        seen.append(line)
        return line

    graph = asking(Speaker(chunks=words("abcd")))
    graph.invoke({}, record=Recording(file := io.BytesIO(), filter=keep))
    graph.invoke({}, record=(short := io.BytesIO()))

    assert [line for line in seen if "of" in line] == []
    for mode in ("messages", "messages-v3"):
        assert len([line for line in seen if line.get("mode") == mode]) == len(shown(short, mode))
    assert lines_of(file)[-1]["events"] == lines_of(short)[-1]["events"]


def test_langchain_tells_one_handler_of_tokens() -> None:
    heard: list[Any] = []

    def node(state: State, config: RunnableConfig) -> State:
        callbacks: Any = config["callbacks"]
        heard.append([each for each in callbacks.handlers if not each.ignore_llm])
        return {}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    list(graph.stream({}, stream_mode="messages", record=io.BytesIO()))
    list(graph.stream({}, stream_mode="messages"))

    recorded, plain = heard
    assert [type(each) for each in recorded] == [Listener]
    assert len(plain) == 1
    assert type(plain[0]) is not Listener


@pytest.mark.parametrize("subgraphs", [False, True])
def test_every_recording_of_nested_runs_has_their_tokens(driver: Any, subgraphs: bool) -> None:
    inner = asking(Speaker(chunks=words("abcd")))
    below, above = io.BytesIO(), io.BytesIO()

    def node(state: State) -> State:
        inner.invoke({}, record=below)
        return {}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    options = {"stream_mode": "messages", "subgraphs": subgraphs}
    live = driver.stream(graph, {}, **options, record=above)

    assert [*map(repr, millstream.replay(above).stream(**options))] == [*map(repr, live)]
    assert bool(live) is subgraphs
    # The nested run's own recording has it as a stream of the nested run shows it.
    got = [
        message.content for message, _ in millstream.replay(below).stream(stream_mode="messages")
    ]
    assert "".join(got) == "abcd"


def test_models_side_by_side_keep_their_tokens_apart() -> None:
    start = threading.Barrier(2)

    def talk(text: str) -> Any:
        def node(state: State) -> State:
            stream = Speaker(chunks=words(text)).stream("go")
            for _ in range(len(text)):
                start.wait(60)
                next(stream)
            list(stream)
            return {}

        return node

    builder = StateGraph(State).add_node("one", talk("abcdef")).add_node("two", talk("uvwxyz"))
    graph = builder.add_edge(START, "one").add_edge(START, "two").compile()
    live = list(graph.stream({}, stream_mode="messages", record=(file := io.BytesIO())))

    texts = {"one": "", "two": ""}
    for message, metadata in millstream.replay(file).stream(stream_mode="messages"):
        texts[metadata["langgraph_node"]] += message.content
    assert texts == {"one": "abcdef", "two": "uvwxyz"}
    assert len(live) == 14


def test_models_wait_for_slow_readers_though_they_are_recorded() -> None:
    told: list[str] = []

    class Noting(Speaker):
        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            async for chunk in super()._astream(*args, **kwargs):
                told.append(str(chunk.message.content))
                yield chunk

    async def read(**options: Any) -> int:
        told.clear()
        graph = asking(Noting(chunks=words("a" * 200)))
        options = {"stream_mode": "messages", "max_buffered": 4, **options}
        async with aclosing(graph.astream({}, **options)) as items:
            await anext(items)
            for _ in range(500):
                await asyncio.sleep(0)
            return len(told)

    assert asyncio.run(read(record=io.BytesIO())) == asyncio.run(read()) < 10


def test_models_wait_for_all_readers_of_graphs_that_are_nested() -> None:
    waited: list[str] = []

    class Room:
        def __init__(self, name: str) -> None:
            self.name = name

        def __await__(self) -> Any:
            waited.append(self.name)
            yield from asyncio.sleep(0).__await__()

    async def wait() -> None:
        rooms = Rooms([Room("outer"), Room("inner")])
        await rooms
        await rooms

    asyncio.run(wait())

    assert waited == ["outer", "inner"] * 2


def test_messages_made_of_tokens_share_nothing_but_their_metadata() -> None:
    asking(Speaker(chunks=words("abcd", response_metadata=OPENAI))).invoke(
        {}, record=(file := io.BytesIO())
    )

    first, second = [
        message for message, _ in millstream.replay(file).stream(stream_mode="messages")
    ][1:3]
    first.response_metadata["more"] = 1
    first.tool_calls.append({"name": "f", "args": {}, "id": "1"})

    assert second.response_metadata == OPENAI
    assert second.tool_calls == []
    assert (first + second).content == "bc"
    assert isinstance(first + second, AIMessage)


def test_a_file_that_is_cut_is_read_to_its_last_whole_token() -> None:
    asking(Speaker(chunks=words("abcdefghij"))).invoke({}, record=(file := io.BytesIO()))
    whole = gzip.decompress(file.getvalue())
    parts = [repr(part) for _, part in RecordedRun(file).read()]

    tokens = range(whole.index(b',"of":'), whole.rindex(b',"of":') + 40, 7)
    for size in tokens:
        reading = RecordedRun(io.BytesIO(gzip.compress(whole[:size], 1))).read()
        got = [repr(part) for _, part in reading]
        assert got == parts[: len(got)]
        lines = whole[:size].count(b"\n")
        events = [json.loads(line) for line in whole.split(b"\n")[:lines]]
        assert len(got) == sum(2 if "of" in line else "mode" in line for line in events)


HEADER = {"recording": 1, "started": 1_700_000_000_000_000}
MESSAGE = {"$message": "AIMessageChunk", "content": ""}
EVENT = {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": ""}}
TEMPLATE = {
    "ns": ["a:1"],
    "messages": {"$tuple": [MESSAGE, {"x": 1}]},
    "messages-v3": {"$tuple": [EVENT, {"y": 2}]},
}
TOKEN = {"at": 3, "of": 1, "text": "hi"}


def file_of(template: Any, token: Any) -> io.BytesIO:
    """Return a file with a template and a token."""
    lines = (HEADER, {"define": 1, "value": template}, token, {"at": 9, "end": "success"})
    return io.BytesIO(gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))


def test_a_token_is_an_event_of_each_mode_of_its_template() -> None:
    reading = RecordedRun(file_of(TEMPLATE, {**TOKEN, "more": 1})).read()

    got = [*reading]

    event = {**EVENT, "delta": {"type": "text-delta", "text": "hi"}}
    assert got == [
        (3, (("a:1",), "messages", (AIMessageChunk("hi"), {"x": 1}), None)),
        (3, (("a:1",), "messages", (event, {"y": 2}), None)),
    ]
    assert reading.count == 2
    assert [*RecordedRun(file_of(TEMPLATE, TOKEN)).read(["messages-v3"])] == got[1:]
    assert [*RecordedRun(file_of(TEMPLATE, TOKEN)).read(["custom"])] == []


@pytest.mark.parametrize(
    ("template", "token"),
    [
        (TEMPLATE, {**TOKEN, "of": 2}),
        (TEMPLATE, {**TOKEN, "of": []}),
        (TEMPLATE, {**TOKEN, "text": 3}),
        (TEMPLATE, {"at": 3, "of": 1}),
        (TEMPLATE, {"of": 1, "text": "hi"}),
        ("x", TOKEN),
        ({**TEMPLATE, "ns": 3}, TOKEN),
        ({**TEMPLATE, "messages": ["x", {}]}, TOKEN),
        ({**TEMPLATE, "messages-v3": [{"event": "x"}, {}]}, TOKEN),
        ({"ns": []}, TOKEN),
    ],
    ids=repr,
)
def test_a_token_that_is_none_is_named(template: Any, token: Any) -> None:
    with pytest.raises(RecordingError, match="line 3 of BytesIO is no event"):
        list(RecordedRun(file_of(template, token)).read())
