"""Run streams of runs that were started: all readers see the same, whenever they come."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from millstream.errors import RunCancelledError
from millstream.graph import START, MessagesState, StateGraph
from millstream.stream import CustomTransformer, UpdatesTransformer
from millstream.types import Command, interrupt
from runs.starting import IN_TIME, Starter, row, say

HELLO: Any = {"messages": [HumanMessage("hi", id="1")]}


def talk(state: MessagesState) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter(["one two three"]))
    return {"messages": [model.invoke(state["messages"])]}


def talking() -> Any:
    """Return a graph that talks, and calls one that talks."""
    inner = StateGraph(MessagesState).add_node("talk", talk).add_edge(START, "talk").compile()

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": inner.invoke(state)["messages"][-1:]}

    builder = StateGraph(MessagesState).add_node("talk", talk).add_node("call", call)
    return builder.add_edge(START, "talk").add_edge("talk", "call").compile()


def views(run: Any) -> list[Any]:
    """Return what the views of a run stream show, nested graphs included, without ids."""
    seen: list[Any] = []
    for name, item in run.interleave("messages", "values", "subgraphs", "lifecycle"):
        if name == "messages":
            seen.append((name, list(item.text)))
        elif name == "values":
            seen.append((name, [message.content for message in item["messages"]]))
        elif name == "lifecycle":
            seen.append((name, item["event"]))
        else:
            said = [str(message.text) for message in item.messages]
            seen.append((name, item.graph_name, said, len(item.output["messages"])))
    return seen


def numbered(run: Any) -> list[Any]:
    """Return the events of a run stream as far as they say which they are."""
    return [(event["seq"], event["event_id"], event["method"]) for event in run]


def test_early_and_late_readers_see_what_a_run_stream_shows(starter: Starter) -> None:
    graph = talking()
    with graph.stream_events(HELLO, version="v3") as run:
        expected = views(run)

    with starter.start(graph, HELLO, version="v3") as started:
        early = views(started.stream_events())
        started.wait(IN_TIME)
        late = views(started.stream_events())
        events = numbered(started.stream_events())

        assert early == late == expected
        assert events == numbered(started.stream_events())
        assert [seq for seq, _, _ in events] == list(range(1, len(events) + 1))
        assert len({id for _, id, _ in events}) == len(events)


def test_readers_in_threads_and_event_loops_see_the_same(starter: Starter) -> None:
    async def read(started: Any) -> list[Any]:
        async with started.astream_events() as run:
            return [(event["seq"], event["event_id"], event["method"]) async for event in run]

    found: list[Any] = []
    with starter.start(talking(), HELLO, version="v3") as started:
        readers = [
            threading.Thread(target=lambda: found.append(numbered(started.stream_events())))
            for _ in range(3)
        ]
        readers += [
            threading.Thread(target=lambda: found.append(asyncio.run(read(started))))
            for _ in range(2)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(IN_TIME)

    assert len(found) == 5
    assert all(each == found[0] for each in found)


def test_the_end_is_told_by_run_streams_as_by_the_handle(starter: Starter) -> None:
    def ask(state: Any) -> dict[str, Any]:
        return {"log": [interrupt("sow?")]}

    def fail(state: Any) -> dict[str, Any]:
        raise KeyError("broken")

    thread = {"configurable": {"thread_id": "1"}}
    asking = row(ask, checkpointer=InMemorySaver())
    with starter.start(asking, config=thread, version="v3") as started:
        run = started.stream_events()
        assert run.interrupted
        assert [question.value for question in run.interrupts] == ["sow?"]
    with starter.start(asking, Command(resume="yes"), thread, version="v3") as started:
        assert started.stream_events().output == {"log": ["yes"]}
    with starter.start(row(fail), version="v3") as started:
        with pytest.raises(KeyError, match="broken"):
            numbered(started.stream_events())
        with pytest.raises(KeyError, match="broken"):
            _ = started.stream_events().output


def test_a_reader_that_goes_away_leaves_the_run_alone(starter: Starter) -> None:
    sleeper = starter.sleeper()
    with starter.start(row(say("a"), sleeper.node), version="v3") as started:
        with started.stream_events(transformers=[CustomTransformer]) as run:
            assert next(iter(run.custom)) == "a"
        assert started.status == "running"
        started.cancel()
        with pytest.raises(RunCancelledError):
            numbered(started.stream_events())


def test_further_transformers_need_what_is_logged(starter: Starter) -> None:
    with starter.start(row(say("a")), version="v3") as started:
        run = started.stream_events(transformers=[UpdatesTransformer])
        assert [list(update) for update in run.updates] == [["n0"]]
    with (
        starter.start(row(say("a")), version="v3", stream_mode="values") as started,
        pytest.raises(ValueError, match=r"need 'updates', which .* stream_mode=\['updates'\]"),
    ):
        started.stream_events(transformers=[UpdatesTransformer])


def test_a_run_that_logs_something_else_has_no_run_streams(starter: Starter) -> None:
    with (
        starter.start(row(say("a"))) as started,
        pytest.raises(RuntimeError, match='start it with version="v3"'),
    ):
        started.stream_events()
    with pytest.raises(TypeError, match="no version 'v2'"):
        starter.start(row(say("a")), version="v2")


def test_run_streams_of_a_graph_whose_stream_was_replaced(starter: Starter) -> None:
    from millstream.graph.state import CompiledStateGraph

    class Own(CompiledStateGraph):  # type: ignore[type-arg]
        def stream(self, *args: Any, **kwargs: Any) -> Any:
            yield from super().stream(*args, **kwargs)

        async def astream(self, *args: Any, **kwargs: Any) -> Any:
            async for item in super().astream(*args, **kwargs):
                yield item

    graph = talking()
    expected = views(graph.stream_events(HELLO, version="v3"))
    graph.__class__ = Own

    with starter.start(graph, HELLO, version="v3") as started:
        assert views(started.stream_events()) == expected
