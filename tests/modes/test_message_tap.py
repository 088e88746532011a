"""`messages` mode beyond what a comparison with another engine can show."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any
from uuid import uuid4

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph
from millstream.graph.message import MessagesState, add_messages, push_message
from millstream.modes.block_tap import BlockTap
from millstream.modes.message_tap import MessageTap


class Listener(GenericFakeChatModel):
    """Notes when it is asked for its words one by one."""

    streamed: list[str] = Field(default_factory=list)

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.streamed.append(messages[0].content)
        return super()._stream(messages, *args, **kwargs)


def model(text: str = "one two") -> Listener:
    """Return a model that says this again and again."""
    return Listener(messages=iter(lambda: AIMessage(text), None))


def graph_of(*nodes: Any, saver: Any = None) -> Any:
    """Compile a graph of messages that runs these nodes one after another."""
    named = [(f"n{index}", node) for index, node in enumerate(nodes)]
    builder = StateGraph(MessagesState).add_sequence(named).add_edge(START, "n0")
    return builder.compile(checkpointer=saver)


def asking(subject: Any) -> Any:
    return lambda state: {"messages": [subject.invoke(state["messages"])]}


def contents(items: list[Any]) -> list[Any]:
    return [message.content for message, _ in items]


HELLO = {"messages": [HumanMessage("hello", id="h")]}


def test_models_stream_when_somebody_reads_messages(driver: Any) -> None:
    """Invoking is enough."""
    subject = model()

    items = driver.stream(graph_of(asking(subject)), HELLO, stream_mode="messages")

    assert contents(items) == ["one", " ", "two"]
    assert subject.streamed == ["hello"]


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "tasks"])
def test_models_are_not_made_to_stream_when_nobody_reads_messages(driver: Any, mode: str) -> None:
    """Streams of other modes leave models alone."""
    subject = model()

    driver.stream(graph_of(asking(subject)), HELLO, stream_mode=mode)

    assert subject.streamed == []


def test_models_are_not_made_to_stream_by_invoke(driver: Any) -> None:
    """Nor does a plain call, with a saver or without."""
    subject = model()

    driver.invoke(graph_of(asking(subject), asking(subject)), HELLO)

    assert subject.streamed == []


def test_models_in_nested_graphs_stream_for_readers_of_subgraphs_only(driver: Any) -> None:
    """What is not shown is not made to stream either."""
    subject = model()
    graph = graph_of(graph_of(asking(subject)))

    plain = driver.stream(graph, HELLO, stream_mode="messages")
    nested = driver.stream(graph, HELLO, stream_mode="messages", subgraphs=True)

    assert contents(plain) == ["one two"]
    assert contents([item for _, item in nested]) == ["one", " ", "two"]
    assert subject.streamed == ["hello"]


def test_a_graph_with_a_thread_of_its_own_is_not_heard(driver: Any) -> None:
    """Neither its tokens nor its state are part of the caller's stream."""
    subject = model("private")
    inner = graph_of(asking(subject), saver=InMemorySaver())

    def node(state: Any) -> None:
        inner.invoke(HELLO, {"configurable": {"thread_id": "another"}})

    items = driver.stream(
        graph_of(node, saver=InMemorySaver()),
        HELLO,
        {"configurable": {"thread_id": "one"}},
        stream_mode="messages",
        subgraphs=True,
    )

    assert items == []
    assert subject.streamed == []


def test_messages_in_events_of_their_node_have_their_ids() -> None:
    """As in updates: the id is given when the node has ended, not with the superstep."""

    async def node(state: Any) -> Any:
        return {"messages": [AIMessage("new")]}

    async def read() -> list[Any]:
        return [event async for event in graph_of(node).astream_events(HELLO, version="v2")]

    events = [event for event in asyncio.run(read()) if event["name"] == "n0"]
    shown = [data["chunk" if "chunk" in data else "output"] for data in told(events)]
    ids = [message.id for result in shown for message in result["messages"]]
    assert len(ids) == 2
    assert ids[0] == ids[1] is not None


def told(events: list[Any]) -> list[Any]:
    """Return the data of events about results."""
    kinds = ("on_chain_stream", "on_chain_end")
    return [event["data"] for event in events if event["event"] in kinds]


def test_a_model_awaited_without_config_is_heard() -> None:
    """On Python 3.10 too, where other engines need the config passed on."""

    async def node(state: Any) -> Any:
        return {"messages": [await model().ainvoke(state["messages"])]}

    async def nested(state: Any) -> Any:
        said = await asyncio.gather(*(model(text).ainvoke("x") for text in ("a", "b")))
        return {"messages": said}

    async def read() -> list[Any]:
        stream = graph_of(node, nested).astream(HELLO, stream_mode="messages")
        return [item async for item in stream]

    items = asyncio.run(read())

    assert contents(items)[:3] == ["one", " ", "two"]
    assert sorted(contents(items)[3:]) == ["a", "b"]
    assert [where["langgraph_node"] for _, where in items] == ["n0"] * 3 + ["n1"] * 2


def test_a_model_called_in_a_sync_node_of_an_async_run_is_heard() -> None:
    """The worker thread has the node's context."""

    async def read() -> list[Any]:
        stream = graph_of(asking(model())).astream(HELLO, stream_mode="messages")
        return [item async for item in stream]

    assert contents(asyncio.run(read())) == ["one", " ", "two"]


def test_tokens_of_a_thread_that_has_the_config_are_heard(driver: Any) -> None:
    """A thread started by hand has no context of its own; the config is enough."""

    def node(state: Any, config: RunnableConfig) -> None:
        thread = threading.Thread(target=model().invoke, args=("x", config))
        thread.start()
        thread.join()

    items = driver.stream(graph_of(node), HELLO, stream_mode="messages")

    assert contents(items) == ["one", " ", "two"]


def taking_turns(state: Any, config: RunnableConfig) -> None:
    """A node whose two models speak word by word; the second begins last."""
    first, second = (
        model(f"{name} {name}").with_config(tags=[name]).stream("x", config) for name in ("a", "b")
    )
    for _ in zip(first, second, strict=True):
        pass


def test_models_that_take_turns_are_heard_with_their_own_metadata(driver: Any) -> None:
    items = driver.stream(graph_of(taking_turns), HELLO, stream_mode="messages")

    heard = [(message.content, where["tags"]) for message, where in items if message.content]
    assert heard == [("a", ["a"]), ("b", ["b"]), (" ", ["a"]), (" ", ["b"])] + [
        ("a", ["a"]),
        ("b", ["b"]),
    ]


def test_events_of_models_that_take_turns_have_their_own_run() -> None:
    async def read() -> list[Any]:
        stream = graph_of(taking_turns).astream_events(HELLO, include_types=["chat_model"])
        return [event async for event in stream]

    spoken: dict[str, list[Any]] = {}
    for event in asyncio.run(read()):
        if event["event"] == "on_chat_model_stream" and event["data"]["chunk"].content:
            spoken.setdefault(event["run_id"], []).append(event["data"]["chunk"].content)

    assert list(spoken.values()) == [["a", " ", "a"], ["b", " ", "b"]]


@pytest.mark.parametrize("kind", [MessageTap, BlockTap])
@pytest.mark.parametrize("has_failed", [False, True])
def test_what_a_model_says_after_its_end_is_not_heard(
    kind: type[MessageTap], *, has_failed: bool
) -> None:
    """Not by its latest run either, which is looked up in another way."""
    parts: list[Any] = []
    tap = kind(parts.append, (), None, has_subgraphs=False)
    run_id, chunk = uuid4(), ChatGenerationChunk(message=AIMessageChunk("late", id="m"))
    tap.on_chat_model_start({}, [[]], run_id=run_id)
    if has_failed:
        tap.on_llm_error(ValueError(), run_id=run_id)
    else:
        tap.on_llm_end(LLMResult(generations=[]), run_id=run_id)

    tap.on_llm_new_token("late", chunk=chunk, run_id=run_id)

    assert parts == []


def test_tokens_arrive_while_the_model_is_speaking(driver: Any) -> None:
    """The model waits until its first word was read."""
    read = threading.Event()

    class Waiting(GenericFakeChatModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            for chunk in super()._stream(*args, **kwargs):
                yield chunk
                assert read.wait(5)

    subject = Waiting(messages=iter([AIMessage("one two")]))
    graph = graph_of(asking(subject))
    seen: list[Any] = []

    def look(item: Any) -> None:
        seen.append((item[0].content, read.is_set()))
        read.set()

    if driver.name == "sync":
        for item in graph.stream(HELLO, stream_mode="messages"):
            look(item)
    else:

        async def go() -> None:
            async for item in graph.astream(HELLO, stream_mode="messages"):
                look(item)

        asyncio.run(go())

    assert seen == [("one", False), (" ", True), ("two", True)]


class Two(TypedDict, total=False):
    """Messages, and a key that no reducer of messages looks after."""

    messages: Annotated[list[Any], add_messages]
    other: Any


@pytest.mark.parametrize("mode", ["updates", "tasks"])
def test_an_update_shows_the_ids_that_the_state_will_have(driver: Any, mode: str) -> None:
    """At the moment when the item is read, not only when the superstep is over."""
    ids: list[Any] = []

    def node(state: Any) -> Any:
        return {"messages": [AIMessage("a"), "text"], "other": AIMessage("b")}

    builder = StateGraph(Two).add_node("n", node).add_edge(START, "n").add_edge("n", END)
    graph = builder.compile()

    def look(item: Any) -> None:
        shown = item.get("n") or item.get("result")
        if shown:
            ids.extend((shown["messages"][0].id, shown["other"].id))

    async def go() -> Any:
        async for name, item in graph.astream({"other": 1}, stream_mode=[mode, "values"]):
            if name == mode:
                look(item)
        return item

    if driver.name == "async":
        final = asyncio.run(go())
    else:
        for name, item in graph.stream({"other": 1}, stream_mode=[mode, "values"]):
            if name == mode:
                look(item)
        final = item

    assert ids == [final["messages"][0].id, None]
    assert ids[0] is not None
    assert all(message.id for message in final["messages"])


def test_a_message_sent_first_keeps_its_id(driver: Any) -> None:
    """The id given to an anonymous message of the stream is the one in the state."""

    def node(state: Any) -> Any:
        return {"messages": [AIMessage("a")]}

    items = driver.stream(graph_of(node), HELLO, stream_mode=["messages", "values"])

    (sent,) = [item[0] for mode, item in items if mode == "messages"]
    assert sent.id is not None
    assert items[-1][1]["messages"][-1].id == sent.id


def test_pushing_needs_a_run() -> None:
    """Outside of one there is nobody to hear it."""
    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        push_message(AIMessage("x", id="1"))


def test_a_pushed_message_arrives_before_its_node_ends(driver: Any) -> None:
    """It is read while the node waits for that."""
    read = threading.Event()

    def node(state: Any) -> Any:
        push_message(AIMessage("early", id="e"))
        return {"messages": [AIMessage(f"read {read.wait(5)}", id="late")]}

    seen: list[str] = []

    def look(message: BaseMessage) -> None:
        seen.append(str(message.content))
        read.set()

    graph = graph_of(node)
    if driver.name == "sync":
        for message, _ in graph.stream(HELLO, stream_mode="messages"):
            look(message)
    else:

        async def go() -> None:
            async for message, _ in graph.astream(HELLO, stream_mode="messages"):
                look(message)

        asyncio.run(go())

    assert seen == ["early", "read True"]


def test_a_failed_attempt_leaves_nothing_it_pushed_in_the_state(driver: Any) -> None:
    """What the reader saw stays seen; the state has it once."""
    from millstream.types import RetryPolicy

    attempts: list[int] = []

    def node(state: Any) -> Any:
        attempts.append(1)
        push_message(AIMessage(f"try {len(attempts)}", id=f"p{len(attempts)}"))
        if len(attempts) == 1:
            raise ValueError("once")

    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError)
    builder = StateGraph(MessagesState).add_node("n", node, retry_policy=policy)
    graph = builder.add_edge(START, "n").compile()

    items = driver.stream(graph, HELLO, stream_mode=["messages", "values"])

    assert contents([item for mode, item in items if mode == "messages"]) == ["try 1", "try 2"]
    assert [m.content for m in items[-1][1]["messages"]] == ["hello", "try 2"]


def test_chunks_written_to_the_state_are_left_as_they_are() -> None:
    """A chunk in an update is not what will be in the state."""
    chunk = AIMessageChunk(content="part")

    result = graph_of(lambda state: {"messages": [chunk]}).invoke(HELLO)

    assert chunk.id is None
    assert result["messages"][-1].id is not None
