"""What graphs of other kinds say as protocol events, and what becomes of a run that is taken up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

import waiting
from millstream.graph import START, StateGraph
from millstream.server.log.run_log import KEPT_EVENTS
from millstream.server.storage import events
from millstream.stream import StreamChannel, StreamTransformer
from millstream.types import StreamWriter, interrupt
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.protocol import data_of, is_end, listening, result, run, until


class State(TypedDict, total=False):
    n: int
    answer: Any


class Halves(StreamTransformer):
    """Says half of what is said."""

    required_stream_modes = ("custom",)

    def init(self) -> dict[str, Any]:
        self._halves: StreamChannel[Any] = StreamChannel("halves")
        return {"halves": self._halves}

    def process(self, event: Any) -> bool:
        if event["method"] == "custom":
            self._halves.push(event["params"]["data"] / 2)
        return True


def count(state: State, writer: StreamWriter) -> State:
    for i in range(state["n"]):
        writer(i)
    return {}


def name_it(state: State, writer: StreamWriter) -> State:
    writer({"name": "progress", "payload": 3})
    writer({"name": "progress", "payload": 4, "more": 5})
    return {}


def ask(state: State) -> State:
    return {"answer": interrupt("really?")}


class Inner(BaseModel):
    messages: list[Any] = []


class Model(BaseModel):
    inner: Inner = Inner()
    by_number: dict[int, Any] = {}


def fill(state: Model) -> dict[str, Any]:
    message = AIMessage("hello", id="1")
    return {"inner": Inner(messages=[message]), "by_number": {1: message}}


def make_more() -> dict[str, Any]:
    inner = StateGraph(State).add_sequence([ask]).add_edge(START, "ask").compile()
    asking = StateGraph(State).add_node("inner", inner).add_edge(START, "inner")
    counting = StateGraph(State).add_node(count).add_edge(START, "count")
    modelled = StateGraph(Model).add_node(fill).add_edge(START, "fill")
    naming = StateGraph(State).add_node(name_it).add_edge(START, "name_it")
    return {
        "asking": asking.compile(),
        "counting": counting.compile(),
        "halving": counting.compile(transformers=[Halves]),
        "modelled": modelled.compile(),
        "naming": naming.compile(),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with graphs that the recorded one did not have."""
    with running(config_of(make_more(), tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def at() -> str:
    """Give the id of a thread that there is not."""
    return str(uuid.uuid4())


def test_channels_of_transformers_are_custom_events_with_their_name(
    server: Running, at: str
) -> None:
    run(server, at, "halving", {"n": 3})

    with listening(server, at, "custom:halves", "lifecycle") as live:
        told = data_of(until(live, is_end), "custom")
    assert told == [{"name": "halves", "payload": i / 2} for i in range(3)]
    with listening(server, at, "custom", "lifecycle") as live:
        assert len(data_of(until(live, is_end), "custom")) == 6
    with listening(server, at, "custom:other", "lifecycle") as live:
        assert data_of(until(live, is_end), "custom") == []


def test_messages_are_short_wherever_they_are_in_a_state(server: Running, at: str) -> None:
    events = run(server, at, "modelled", {})

    message = {"type": "ai", "content": "hello", "id": "1"}
    expected = {"inner": {"messages": [message]}, "by_number": {"1": message}}
    assert data_of(events, "values")[-1] == expected
    assert data_of(events, "updates") == [{"node": "fill", "values": expected}]


def test_what_a_node_writes_with_a_name_belongs_to_the_channel_of_that(
    server: Running, at: str
) -> None:
    run(server, at, "naming", {})

    with listening(server, at, "custom:progress", "lifecycle") as live:
        told = data_of(until(live, is_end), "custom")
    assert told == [{"name": "progress", "payload": 3}]


def test_a_question_of_a_nested_graph_says_where_it_is_asked(server: Running, at: str) -> None:
    told = run(server, at, "asking", {"n": 1})
    [asked] = [event for event in told if event.name == "input.requested"]
    namespace = asked.data["params"]["namespace"]
    assert [segment.partition(":")[0] for segment in namespace] == ["inner"]
    question = asked.data["params"]["data"]["interrupt_id"]
    there = result(server, at, "state.get", namespace=namespace)
    listed = result(server, at, "state.listCheckpoints", namespace=namespace)["checkpoints"]
    assert there["values"] == {"n": 1}
    assert there["checkpoint"] == {"id": listed[0]["id"], "ns": namespace[0]}

    with listening(server, at, "lifecycle", namespaces=[[]], depth=0) as live:
        until(live, is_end)
        result(server, at, "input.respond", interrupt_id=question, namespace=namespace, response=7)
        until(live, is_end)
    assert result(server, at, "state.get")["values"]["answer"] == 7


def test_who_reads_late_and_slowly_gets_what_is_no_longer_in_memory(
    server: Running, at: str
) -> None:
    n = 3 * KEPT_EVENTS
    with listening(server, at, "custom", "lifecycle") as slow:
        next_one = result(server, at, "run.start", assistant_id="counting", input={"n": n})
        assert server.http.get(f"/threads/{at}/runs/{next_one['run_id']}/join").json() == {"n": n}
        told = until(slow, is_end)

    assert [data["payload"] for data in data_of(told, "custom")] == [*range(n)]


def test_numbers_go_on_when_nothing_is_kept_any_more(server: Running, at: str) -> None:
    began = time.monotonic()
    first = run(server, at, "counting", {"n": 3})
    forget(server)
    second = run(server, at, "counting", {"n": 3})
    forget(server)
    # As after a restart, when a thread is older than milliseconds: events are kept for longer.
    assert waiting.until(lambda: time.monotonic() - began > 0.2)
    server.service.logs._numbers.clear()
    third = run(server, at, "counting", {"n": 3})

    last = first[-1].data["seq"]
    assert [event.data["seq"] for event in second] == [*range(last + 1, 2 * last + 1)]
    assert third[0].data["seq"] > second[-1].data["seq"]


def forget(server: Running) -> None:
    """Delete the events of all runs."""
    service = server.service
    service.run_loop.submit(service.db.write(events.forget, "9999")).result()


@pytest.mark.real_time(reason="the server ends while a node works")
def test_a_run_that_is_taken_up_again_is_told_without_a_double(tmp_path: Path, at: str) -> None:
    config = config_of(make_graphs(), tmp_path)
    with running(config) as server, listening(server, at, "custom", "lifecycle") as live:
        result(server, at, "run.start", assistant_id="slow", input={"n": 2, "delay": 0.3})
        before = until(live, lambda event: event.name == "custom")
    with running(config) as server, listening(server, at, "custom", "lifecycle") as live:
        told = until(live, is_end)

    assert told[: len(before)] == before
    seqs = [event.data["seq"] for event in told]
    assert seqs == sorted({*seqs})
    assert len({event.data["event_id"] for event in told}) == len(told)
    assert data_of(told, "lifecycle")[-1]["event"] == "completed"
