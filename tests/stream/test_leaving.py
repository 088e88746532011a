"""Readers that go away, alone or while others read, and what they leave readable."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from typing_extensions import TypedDict

from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import END, START, MessagesState, StateGraph

pytestmark = pytest.mark.timeout(20)


class Counter(TypedDict):
    n: int


def counting(node: Any, *, until: int = 8, **options: Any) -> Any:
    """Compile a graph that runs a node again and again."""
    builder = StateGraph(Counter)
    builder.add_node("count", node)
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["n"] < until else END)
    return builder.compile(**options)


async def acount(state: Counter) -> Counter:
    await asyncio.sleep(0)
    return {"n": state["n"] + 1}


class FullDisk(InMemorySaver):
    def put(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("disk full")


def test_stopping_returns_though_it_fails_in_the_thread_that_reads() -> None:
    is_running, may_end = threading.Event(), threading.Event()

    def count(state: Counter) -> Counter:
        is_running.set()
        may_end.wait()
        return {"n": state["n"] + 1}

    thread = {"configurable": {"thread_id": "1"}, "recursion_limit": 999}
    graph = counting(count, until=999, checkpointer=FullDisk())
    run = graph.stream_events({"n": 0}, thread, version="v3", durability="exit")
    raised: list[BaseException] = []

    def read() -> None:
        try:
            list(run.values)
        except OSError as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    stopper = threading.Thread(target=run.abort)
    reader.start()
    is_running.wait()
    stopper.start()
    may_end.set()
    for each in (reader, stopper):
        each.join(timeout=30)
        assert not each.is_alive()


def test_closing_an_iterator_ends_the_task_that_waits_for_it() -> None:
    async def scenario() -> None:
        run = await counting(acount).astream_events({"n": 0}, version="v3")
        iterator: Any = aiter(run.subgraphs)

        async def read() -> list[Any]:
            return [each async for each in iterator]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        await iterator.aclose()
        assert await reading == []
        assert await run.output() == {"n": 8}

    asyncio.run(scenario())


def test_who_reads_through_another_task_still_reads_when_others_are_cancelled() -> None:
    async def scenario() -> None:
        run = await counting(acount).astream_events({"n": 0}, version="v3")
        iterator: Any = aiter(run.values)
        first = await asyncio.create_task(iterator.__anext__())
        other = asyncio.create_task(run.output())
        await asyncio.sleep(0)
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other
        assert [first["n"]] + [each["n"] async for each in iterator] == list(range(9))

    asyncio.run(scenario())


def test_a_message_ends_with_what_was_said_when_the_run_is_left() -> None:
    async def scenario() -> None:
        model = GenericFakeChatModel(messages=iter([AIMessage("one two three")]))

        async def speak(state: MessagesState) -> MessagesState:
            return {"messages": [await model.ainvoke("hi")]}

        graph = StateGraph(MessagesState).add_node(speak).add_edge(START, "speak").compile()
        run = await graph.astream_events({"messages": []}, version="v3")
        message = await anext(aiter(run.messages))
        pieces = aiter(message.text)
        said = await anext(pieces) + await anext(pieces)
        await run.abort()
        text = await message.text
        assert text.startswith(said)
        assert (await message.output).text == text

    asyncio.run(scenario())


def test_an_error_has_the_same_trace_for_every_reader() -> None:
    def fail(state: Counter) -> Counter:
        raise ValueError("no")

    run = counting(fail).stream_events({"n": 0}, version="v3")

    def depth() -> int:
        with pytest.raises(ValueError, match="no") as caught:
            list(iterator)
        return len(caught.traceback)

    iterator = iter(run.values)
    assert depth() == depth()


@pytest.mark.parametrize("given", [lambda scope: None, 5])
def test_transformers_must_come_in_a_list(given: Any) -> None:
    with pytest.raises(TypeError):
        counting(acount).stream_events({"n": 0}, version="v3", transformers=given)
