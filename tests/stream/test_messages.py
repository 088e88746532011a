"""`run.messages`: one handle for each message of a run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.language_models.chat_model_stream import (
    AsyncChatModelStream,
    ChatModelStream,
)
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from millstream.graph import START, StateGraph
from millstream.graph.message import MessagesState
from millstream.modes.content_blocks import BlockWriter, ErrorEvent
from millstream.stream import MessagesTransformer, StreamMux


class Breaking(GenericFakeChatModel):
    """Fails after its first word."""

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield next(super()._stream(*args, **kwargs))
        raise ValueError("out of words")


def model(text: str, kind: type[GenericFakeChatModel] = GenericFakeChatModel) -> Any:
    return kind(messages=iter([AIMessage(text)]))


def graph_of(*nodes: Any) -> Any:
    """Compile a graph of messages that runs these nodes one after another."""
    named = [(f"n{index}", node) for index, node in enumerate(nodes)]
    return StateGraph(MessagesState).add_sequence(named).add_edge(START, "n0").compile()


def returning(*messages: AnyMessage) -> Any:
    return lambda state: {"messages": list(messages)}


def outputs_of(driver: Any, graph: Any) -> list[Any]:
    """Return what the handles of a run yield: text in pieces, and message or error."""
    seen: list[Any] = []

    def read() -> None:
        for stream in graph.stream_events({"messages": []}, version="v3").messages:
            try:
                seen.append((list(stream.text), stream.output))
            except ValueError as error:
                seen.append(error)

    async def aread() -> None:
        async for stream in (await graph.astream_events({"messages": []}, version="v3")).messages:
            try:
                text = [delta async for delta in stream.text]
                assert await stream.output is await stream
                seen.append((text, await stream.output))
            except ValueError as error:
                seen.append(error)

    read() if driver.name == "sync" else asyncio.run(aread())
    return seen


def test_reading_a_message_carries_the_run_on(driver: Any) -> None:
    models = [model("a b"), model("c")]
    nodes = [lambda state, each=each: {"messages": [each.invoke("x")]} for each in models]

    outputs = outputs_of(driver, graph_of(*nodes))

    assert [text for text, _ in outputs] == [["a", " ", "b"], ["c"]]
    assert [message.content for _, message in outputs] == [
        [{"type": "text", "text": "a b", "index": 0}],
        [{"type": "text", "text": "c", "index": 0}],
    ]


def test_messages_that_are_not_of_a_model_stay_what_they_are(driver: Any) -> None:
    messages = [HumanMessage("hello", id="1"), SystemMessage("be brief", id="2")]

    outputs = outputs_of(driver, graph_of(returning(*messages)))

    assert outputs == [(["hello"], messages[0]), (["be brief"], messages[1])]
    assert [type(message) for _, message in outputs] == [HumanMessage, SystemMessage]


def test_whole_messages_of_a_model_have_their_blocks(driver: Any) -> None:
    message = AIMessage("hello", id="1", tool_calls=[{"name": "t", "args": {"a": 1}, "id": "c"}])

    ((text, output),) = outputs_of(driver, graph_of(returning(message)))

    assert text == ["hello"]
    assert output.id == "1"
    assert output.tool_calls == message.tool_calls
    assert output.content == [
        {"type": "text", "text": "hello", "index": 0},
        {"type": "tool_call", "id": "c", "name": "t", "args": {"a": 1}},
    ]


def test_results_of_tools_and_pieces_of_messages_have_no_handle(driver: Any) -> None:
    node = returning(
        ToolMessage("r", tool_call_id="c", id="1"), AIMessageChunk(content="x", id="2")
    )

    assert outputs_of(driver, graph_of(node)) == []


def test_a_message_that_fails_is_over_though_the_run_goes_on(driver: Any) -> None:
    broken, spare = model("a b", Breaking), model("c")

    def node(state: Any) -> Any:
        try:
            return {"messages": [broken.invoke("x")]}
        except ValueError:
            return {"messages": [spare.invoke("x")]}

    failed, (text, _) = outputs_of(driver, graph_of(node))

    assert (type(failed), str(failed)) == (ValueError, "out of words")
    assert text == ["c"]


def mux_of(*, is_async: bool = False) -> tuple[StreamMux, Any]:
    """Return a mux for messages, and a subscribed reader of them."""
    mux = StreamMux(factories=[MessagesTransformer], is_async=is_async)
    messages = mux.extensions["messages"]
    return mux, messages.__aiter__() if is_async else iter(messages)


def tell(mux: StreamMux, said: Any, namespace: tuple[str, ...] = (), **metadata: Any) -> None:
    mux.push(
        {
            "type": "event",
            "method": "messages",
            "params": {"namespace": list(namespace), "timestamp": 0, "data": (said, metadata)},
        }
    )


def say(mux: StreamMux, *tokens: str, is_finished: bool = True, **metadata: Any) -> None:
    """Tell of a message that comes in these tokens."""
    writer = BlockWriter("m")
    events = [e for token in tokens for e in writer.feed(AIMessageChunk(content=token))]
    for event in [*events, *(writer.finish() if is_finished else ())]:
        tell(mux, event, **metadata)


def test_messages_that_come_at_once_are_put_together_apart() -> None:
    mux, reader = mux_of()
    writers = [BlockWriter("m1"), BlockWriter("m2")]

    for token in ("a", "b"):
        for number, writer in enumerate(writers):
            for event in writer.feed(AIMessageChunk(content=f"{token}{number} ")):
                tell(mux, event, run_id=str(number), langgraph_node=f"n{number}")
    for number, writer in enumerate(writers):
        for event in writer.finish():
            tell(mux, event, run_id=str(number))
    mux.close()

    handles = [(each.node, each.message_id, str(each.text), each.done) for each in reader]
    assert handles == [("n0", "m1", "a0 b0 ", True), ("n1", "m2", "a1 b1 ", True)]


@pytest.mark.parametrize(
    ("is_async", "kind"), [(False, ChatModelStream), (True, AsyncChatModelStream)]
)
def test_handles_are_those_of_langchain(*, is_async: bool, kind: type) -> None:
    mux, reader = mux_of(is_async=is_async)

    say(mux, "a", run_id="1")
    tell(mux, HumanMessage("x", id="2"))

    async def read() -> list[Any]:
        return [await anext(reader), await anext(reader)]

    handles = asyncio.run(read()) if is_async else [next(reader), next(reader)]
    assert [isinstance(handle, kind) for handle in handles] == [True, True]
    assert [handle.output_message.type for handle in handles] == ["ai", "human"]


def test_only_messages_of_its_own_graph_have_handles() -> None:
    mux, reader = mux_of()

    tell(mux, HumanMessage("theirs", id="1"), namespace=("n:1",))
    tell(mux, HumanMessage("ours", id="2"))
    mux.close()

    assert [str(handle.text) for handle in reader] == ["ours"]


def test_what_a_tool_says_has_no_handle() -> None:
    mux, reader = mux_of()

    tell(mux, {"event": "message-start", "role": "tool", "id": "1"}, run_id="1")
    tell(mux, {"event": "message-finish"}, run_id="1")
    mux.close()

    assert list(reader) == []


def test_a_message_that_began_before_its_reader_came_is_left_out() -> None:
    mux = StreamMux(factories=[MessagesTransformer])
    say(mux, "early", is_finished=False, run_id="1")

    reader = iter(mux.extensions["messages"])
    tell(mux, {"event": "message-finish"}, run_id="1")
    say(mux, "late", run_id="2")
    mux.close()

    assert [str(handle.text) for handle in reader] == ["late"]


def test_the_failure_of_the_run_is_that_of_open_messages() -> None:
    mux, reader = mux_of()
    error = KeyError("gone")
    say(mux, "done", run_id="1")
    say(mux, "half", is_finished=False, run_id="2")
    done, half = next(reader), next(reader)

    mux.fail(error)

    assert str(done.text) == "done"
    with pytest.raises(KeyError) as raised:
        _ = half.output
    assert raised.value is error


def test_an_error_of_a_model_is_raised_as_it_was() -> None:
    mux, reader = mux_of()
    error = KeyError("gone")
    say(mux, "half", is_finished=False, run_id="1")

    tell(mux, ErrorEvent(error), run_id="1")

    handle, seen = next(reader), []
    with pytest.raises(KeyError) as raised:
        seen.extend(handle.text)
    assert raised.value is error


def test_an_error_of_which_only_the_text_is_known_is_a_runtime_error() -> None:
    mux, reader = mux_of()
    say(mux, "half", is_finished=False, run_id="1")

    tell(mux, {"event": "error", "message": "gone"}, run_id="1")

    with pytest.raises(RuntimeError, match="gone"):
        _ = next(reader).output
