"""Deferred nodes behind deferred nodes: each runs once, after all that lead to it."""

from __future__ import annotations

import itertools
import operator
from typing import Annotated, Any, Literal

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph
from millstream.types import Command, Send

THREAD: Any = {"configurable": {"thread_id": "1"}}

# Graphs here have more nodes than some of them need.
pytestmark = pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def say(name: str) -> Any:
    return lambda state: {"log": [name]}


def builder_of(nodes: str, deferred: str, *ways: str) -> StateGraph[Any]:
    """Return a builder of nodes named by letters; `^` is the start, and so begins each way."""
    builder = StateGraph(State)
    for name in nodes:
        builder.add_node(name, say(name), defer=name in deferred)
    for way in ways:
        for start, end in itertools.pairwise(way):
            builder.add_edge(START if start == "^" else start, end)
    return builder


@pytest.mark.parametrize("nodes", ["abcdef", "fedcba"])
@pytest.mark.parametrize(
    ("deferred", "ways", "log"),
    [
        ("de", ["^ad", "ae", "de"], "ade"),
        ("def", ["^ad", "ae", "af", "de", "ef"], "adef"),
        ("def", ["^ad", "ae", "af", "df", "ef"], "adef"),
        ("de", ["^ad", "ae", "dce"], "adce"),
        ("de", ["^ad", "^bce", "de"], "abcde"),
        ("de", ["^ad", "ae"], "ade"),
        ("bc", ["^abc"], "abc"),
    ],
)
def test_a_deferred_node_runs_once_after_those_that_lead_to_it(
    driver: Any, nodes: str, deferred: str, ways: list[str], log: str
) -> None:
    graph = builder_of(nodes, deferred, *ways).compile()

    assert driver.invoke(graph, {"log": []})["log"] == list(log)


def test_independent_deferred_nodes_run_side_by_side(driver: Any) -> None:
    graph = builder_of("ade", "de", "^ad", "ae").compile()

    steps = driver.stream(graph, {"log": []}, stream_mode="debug")

    assert [
        (item["step"], item["payload"]["name"]) for item in steps if item["type"] == "task"
    ] == [
        (1, "a"),
        (2, "d"),
        (2, "e"),
    ]


def test_a_waiting_edge_leads_on_too(driver: Any) -> None:
    builder = builder_of("abde", "de", "^ad", "^b", "ae").add_edge(["b", "d"], "e")

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("abde")


def sending(state: State) -> list[Send]:
    return [Send("b", {}), Send("b", {})]


@pytest.mark.parametrize(
    ("ways", "log"), [(["^ad", "bd"], "abbd"), (["^ad"], "abbd"), (["^ad", "bcd"], "abbcd")]
)
def test_what_was_sent_is_waited_for(driver: Any, ways: list[str], log: str) -> None:
    builder = builder_of("abcd", "d", *ways).add_conditional_edges("a", sending, ["b"])
    graph = builder.compile(checkpointer=InMemorySaver(), interrupt_before=["d"])

    assert driver.invoke(graph, {"log": []}, THREAD)["log"] == list(log[:-1])
    assert driver.invoke(graph, None, THREAD)["log"] == list(log)


def with_path(answers: Any) -> StateGraph[Any]:
    builder = builder_of("ade", "de", "^ad", "ae")
    return builder.add_conditional_edges("d", lambda state: "e", answers)


def commanding(state: State) -> Command[Literal["e"]]:
    return Command(goto="e", update={"log": ["d"]})


def failing(state: State) -> None:
    raise ValueError("boom")


@pytest.mark.parametrize("answers", [None, ["e"], {"e": "e", "end": END}])
def test_a_conditional_edge_leads_on_too(driver: Any, answers: Any) -> None:
    assert driver.invoke(with_path(answers).compile(), {"log": []})["log"] == list("ade")


def test_a_path_map_that_does_not_lead_to_a_node_holds_nothing_back(driver: Any) -> None:
    builder = builder_of("acde", "de", "^ad", "ae")
    builder.add_conditional_edges("d", lambda state: "c", ["c"])

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("adec")


@pytest.mark.parametrize("action", [commanding, failing])
def test_commands_and_error_handlers_lead_on_too(driver: Any, action: Any) -> None:
    builder = builder_of("ae", "e", "^ae")
    builder.add_node("d", action, defer=True, error_handler=commanding).add_edge("a", "d")

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("ade")


def undeclared(state: State) -> Command[Any]:
    return Command(goto="e", update={"log": ["d"]})


def unannotated(state):  # type: ignore[no-untyped-def]
    return Command(goto="e", update={"log": ["d"]})


async def aunannotated(state):  # type: ignore[no-untyped-def]
    return Command(goto="e", update={"log": ["d"]})


@pytest.mark.parametrize("action", [undeclared, unannotated, aunannotated])
def test_a_command_that_may_go_anywhere_leads_on_too(driver: Any, action: Any) -> None:
    if action is aunannotated and driver.name == "sync":
        return
    builder = builder_of("ae", "e", "^ae").add_node("d", action, defer=True).add_edge("a", "d")

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("ade")


def test_a_way_back_does_not_count(driver: Any) -> None:
    builder = builder_of("ade", "de", "^ad", "ae", "de")
    builder.add_conditional_edges(
        "e", lambda state: "a" if len(state["log"]) < 6 else END, ["a", END]
    )

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("adeade")


def test_two_nodes_that_may_lead_anywhere_do_not_wait_for_each_other(driver: Any) -> None:
    builder = builder_of("ade", "de", "^ad", "ae")
    builder.add_conditional_edges("d", lambda state: END)
    builder.add_conditional_edges("e", lambda state: END)

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("ade")


def test_what_is_declared_counts_more_than_what_may_be(driver: Any) -> None:
    builder = builder_of("eda", "de", "^ad", "ae", "de")
    builder.add_conditional_edges("e", lambda state: END)

    assert driver.invoke(builder.compile(), {"log": []})["log"] == list("ade")


def test_a_thread_goes_on_between_deferred_nodes(driver: Any) -> None:
    builder = builder_of("ade", "de", "^ad", "ae", "de")
    graph = builder.compile(InMemorySaver(), interrupt_before=["d", "e"])

    driver.invoke(graph, {"log": []}, THREAD)
    waiting = [graph.get_state(THREAD).next]
    driver.invoke(graph, None, THREAD)
    waiting.append(graph.get_state(THREAD).next)

    assert waiting == [("d",), ("e",)]
    assert driver.invoke(graph, None, THREAD)["log"] == list("ade")


def test_long_chains_are_no_problem() -> None:
    builder = StateGraph(State)
    names = [f"n{index}" for index in range(3000)]
    for name in names:
        builder.add_node(name, say(name), defer=name in (names[-1], names[-2]))
    for start, end in itertools.pairwise([START, *names]):
        builder.add_edge(start, end)

    assert builder.compile().nodes[names[-1]].after == {names[-2]}
