"""Nodes in worker processes call graphs: these ask and are saved as if they ran here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from executors import nesting
from executors.acting import State, graph_of
from millstream.executors import Executor, ProcessExecutor
from millstream.graph import START, StateGraph
from millstream.types import Command, interrupt

THREAD = {"configurable": {"thread_id": "1"}}
DURABILITIES = ["sync", "async", "exit"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "marks")


def places(saver: InMemorySaver) -> list[Any]:
    """Return what is stored, without ids: where, of which step, from what source, with what."""
    return sorted(
        (
            re.sub(r":[0-9a-f-]+", "", saved.config["configurable"]["checkpoint_ns"]),
            saved.metadata.get("step"),
            saved.metadata.get("source"),
            str(saved.checkpoint["channel_values"].get("log")),
        )
        for saved in saver.list(None)
    )


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("node", ["call", "acall", "call_deep"])
def test_a_graph_that_a_node_calls_asks(
    driver: Any, apart: Executor, file: str, node: str, durability: str
) -> None:
    if driver.name == "sync" and node == "acall":
        node = "call"

    def story(where: Any) -> Any:
        saver, given = InMemorySaver(), {"log": [], "file": file}
        Path(file).unlink(missing_ok=True)
        graph = graph_of(getattr(nesting, node), executor=where, saver=saver)
        asked = [
            driver.invoke(graph, step, THREAD, durability=durability)
            for step in (given, Command(resume="yes"), Command(resume="no"))
        ]
        questions = [each.value for result in asked for each in result.get("__interrupt__", ())]
        return questions, asked[-1]["log"], Path(file).read_text().split(), places(saver)

    there = story(apart)

    assert there[:2] == (["sow?", "reap?"], ["first", "yes", "no", "last"])
    assert there[2].count("first") == there[2].count("last") == 1
    assert there == story(None)


def test_graphs_that_a_node_calls_one_after_the_other_ask(driver: Any, apart: Executor) -> None:
    graph = graph_of(nesting.call_twice, executor=apart, saver=InMemorySaver())

    first = driver.invoke(graph, {"log": []}, THREAD)["__interrupt__"]
    second = driver.invoke(graph, Command(resume={first[0].id: "a"}), THREAD)["__interrupt__"]
    last = driver.invoke(graph, Command(resume="b"), THREAD)

    assert [each.value for each in (*first, *second)] == [1, 2]
    assert [tuple(entry) for entry in last["log"]] == [(1, "a"), (2, "b")]


def test_graphs_side_by_side_get_their_own_answers(driver: Any, apart: Executor) -> None:
    graph = graph_of(nesting.call_side_by_side, executor=apart, saver=InMemorySaver())

    asked = driver.invoke(graph, {"log": []}, THREAD)["__interrupt__"]
    while asked:
        answers = {each.id: f"answer {each.value}" for each in asked}
        result = driver.invoke(graph, Command(resume=answers), THREAD)
        asked = result.get("__interrupt__")

    assert result["log"] == [(number, f"answer {number}") for number in range(3)]


def test_a_graph_that_a_node_calls_keeps_its_state(driver: Any, apart: Executor) -> None:
    graph = graph_of(nesting.call_counting, executor=apart, saver=InMemorySaver())

    counted = [driver.invoke(graph, {"log": []}, THREAD)["log"][-1] for _ in range(3)]

    assert counted == [1, 2, 3]


def test_nodes_of_a_graph_that_a_node_calls_run_in_its_process(
    driver: Any, executor: ProcessExecutor
) -> None:
    graph = graph_of(nesting.call_with_executor, executor=executor)

    node, inside = driver.invoke(graph, {"log": []})["log"]

    assert node == inside != os.getpid()


@dataclass
class Homebound:
    """An answer that a saver stores, and that no other process gets."""

    text: str

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("stays here")


def test_only_answers_that_are_wanted_are_sent(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State).add_node("there", nesting.call_twice, executor=executor)
    builder.add_node("here", lambda state: {"log": [interrupt("here?").text]})
    graph = builder.add_edge(START, "there").add_edge(START, "here").compile(InMemorySaver())

    asked = driver.invoke(graph, {"log": []}, THREAD)["__interrupt__"]
    answers = {each.id: "a" if each.value == 1 else Homebound("b") for each in asked}
    result = driver.invoke(graph, Command(resume=answers), THREAD)

    assert sorted(answers.values(), key=str) == [Homebound("b"), "a"]
    assert [each.value for each in result["__interrupt__"]] == [2]


def test_the_state_of_a_graph_that_asks_is_shown(driver: Any, apart: Executor, file: str) -> None:
    graph = graph_of(nesting.call, executor=apart, saver=InMemorySaver())
    driver.invoke(graph, {"log": [], "file": file}, THREAD)

    task = graph.get_state(THREAD).tasks[0]
    place = {"thread_id": "1", "checkpoint_ns": f"n0:{task.id}"}
    inside = graph.checkpointer.get_tuple({"configurable": place})

    assert inside.checkpoint["channel_values"]["log"] == ["first"]


def test_the_past_of_a_graph_is_gone_into_again(driver: Any, apart: Executor, file: str) -> None:
    def story(where: Any) -> Any:
        Path(file).unlink(missing_ok=True)
        graph = graph_of(nesting.call, executor=where, saver=InMemorySaver())
        driver.invoke(graph, {"log": [], "file": file}, THREAD)
        asked = graph.get_state(THREAD).config
        driver.invoke(graph, Command(resume="yes"), THREAD)
        driver.invoke(graph, Command(resume="no"), THREAD)
        again = driver.invoke(graph, None, asked)
        answered = driver.invoke(graph, Command(resume="other"), asked)
        asked_last = [e.value for r in (again, answered) for e in r.get("__interrupt__", ())]
        return asked_last, again["log"], answered["log"], Path(file).read_text().split()

    assert story(apart) == story(None)


def test_what_is_not_to_be_stored_is_not_stored_by_a_graph_in_a_process(
    driver: Any, apart: Executor
) -> None:
    saver = InMemorySaver()
    builder = StateGraph(nesting.Secret).add_node("give", nesting.give_away, executor=apart)
    graph = builder.add_edge(START, "give").compile(saver)

    driver.invoke(graph, {"log": [], "key": "open sesame, for once"}, THREAD)

    stored = [saved.checkpoint["channel_values"] for saved in saver.list(None)]
    assert any("given" in values for values in stored)
    assert "open sesame" not in str(stored)
