"""What graphs, their nodes and their runs say they are."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import TypedDict

from millstream.channels import LastValue
from millstream.checkpoint.memory import InMemorySaver
from millstream.constants import END, START
from millstream.func import entrypoint, task
from millstream.graph import StateGraph
from millstream.pregel import NodeBuilder, Pregel
from millstream.stream import StreamChannel


class State(TypedDict):
    x: int


def add(state: State) -> State:
    return state


def fail(state: State) -> State:
    raise ValueError("no")


def builder(action: Any = add) -> Any:
    built = StateGraph(State).add_node("a", action, error_handler=add).add_node("b", add)
    built.add_node("c", add, defer=True).add_edge(START, "a").add_edge(["a", "b"], "c")
    return built.add_conditional_edges(START, lambda state: "b", ["b", END])


def test_graphs_say_how_large_they_are() -> None:
    built = builder()
    graph, kept = built.compile(name="Sum"), built.compile(checkpointer=InMemorySaver())

    assert repr(StateGraph(State)) == "<StateGraph of State: 0 nodes, 0 edges>"
    assert repr(built) == "<StateGraph of State: 3 nodes, 3 edges, 1 conditional edge>"
    assert repr(graph) == "<CompiledStateGraph 'Sum': 3 nodes, 3 edges, 1 conditional edge>"
    assert repr(kept).endswith("1 conditional edge; saver InMemorySaver>")


def test_nodes_say_what_they_run_and_when() -> None:
    built = builder()
    raw = NodeBuilder().subscribe_to("in").do(add).write_to("out")

    assert repr(built.nodes["c"]) == "<StateNodeSpec of c: reads State, deferred>"
    assert repr(built.compile().nodes["a"]) == "<PregelNode of a: triggered by branch:to:a>"
    assert repr(raw) == "<NodeBuilder of add: triggered by in, writes out>"
    assert repr(NodeBuilder()).startswith("<NodeBuilder of _same: triggered by nothing")


def test_graphs_without_a_builder_count_channels() -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @entrypoint()
    def work(x: int) -> int:
        return x

    node = NodeBuilder().subscribe_only("in").write_to("out")
    channels = {"in": LastValue(int), "out": LastValue(int)}
    raw = Pregel(nodes={"n": node}, channels=channels, input_channels="in", output_channels="out")

    assert repr(raw) == "<Pregel 'LangGraph': node 'n', 2 channels>"
    assert repr(work).startswith("<Pregel 'LangGraph': node 'work', ")
    assert repr(double) == "<task 'double'>"


def test_runs_say_how_far_they_are() -> None:
    built = StateGraph(State).add_node(add).add_edge(START, "add")
    stream = built.compile().stream_events({"x": 1}, version="v3")
    before = repr(stream)
    assert stream.output == {"x": 1}

    assert before == "<GraphRunStream: going on>"
    assert repr(stream) == "<GraphRunStream: ended>"
    assert repr(stream.values).endswith(": closed>")


def test_runs_that_failed_say_so() -> None:
    built = StateGraph(State).add_node("a", fail).add_edge(START, "a")
    stream = built.compile().stream_events({"x": 1}, version="v3")

    with pytest.raises(ValueError, match="no"):
        _ = stream.output

    assert repr(stream) == "<GraphRunStream: failed with ValueError>"


def test_channels_say_whether_somebody_reads_them() -> None:
    assert repr(StreamChannel("own")) == "<StreamChannel 'own': open, without a reader>"


def test_a_node_that_is_there_already_explains_itself() -> None:
    built = StateGraph(State).add_node(add)

    with pytest.raises(ValueError, match="already present") as again:
        built.add_node(add)
    with pytest.raises(ValueError, match="must be unique") as in_a_sequence:
        built.add_sequence([add])

    assert str(again.value).startswith(
        "Node `add` already present. A builder keeps what it was given"
    )
    for error in (again, in_a_sequence):
        assert str(error.value).endswith(
            "If a notebook cell was run again, first run the one that makes the builder, "
            "`StateGraph(...)`."
        )
