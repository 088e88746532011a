"""What a run that did not end well leaves for the next call, with every durability."""

from __future__ import annotations

import operator
import threading
from collections import Counter
from typing import Annotated, Any, TypedDict

import pytest

from durability.promises import REPEATED
from millstream.checkpoint.memory import InMemorySaver
from millstream.errors import GraphRecursionError
from millstream.graph import START, StateGraph
from millstream.types import Command, interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict):
    """What has run."""

    log: Annotated[list[str], operator.add]


@pytest.fixture(params=list(REPEATED))
def durability(request: pytest.FixtureRequest) -> Any:
    """Give the test one durability; the test runs once with each."""
    return request.param


def test_finished_siblings_of_a_failed_task_do_not_run_again(driver: Any, durability: Any) -> None:
    ran: Counter[str] = Counter()
    finished = threading.Event()

    def good(state: State) -> State:
        ran["good"] += 1
        finished.set()
        return {"log": ["good"]}

    def bad(state: State) -> State:
        ran["bad"] += 1
        assert finished.wait(10)
        if ran["bad"] == 1:
            raise OSError("not today")
        return {"log": ["bad"]}

    def first(state: State) -> State:
        ran["first"] += 1
        return {"log": ["first"]}

    builder = StateGraph(State).add_node(first).add_node(bad).add_node(good)
    builder.add_edge(START, "first").add_edge("first", "bad").add_edge("first", "good")
    graph = builder.compile(checkpointer=InMemorySaver())
    with pytest.raises(OSError, match="not today"):
        driver.invoke(graph, {"log": []}, THREAD, durability=durability)

    result = driver.invoke(graph, None, THREAD, durability=durability)

    assert result == {"log": ["first", "bad", "good"]}
    assert ran == {"first": 1, "good": 1, "bad": 2}


def test_a_run_out_of_steps_goes_on_where_it_was(driver: Any, durability: Any) -> None:
    ran: list[str] = []

    def step(name: str) -> Any:
        def run(state: State) -> State:
            ran.append(name)
            return {"log": [name]}

        return run

    builder = StateGraph(State).add_sequence([(name, step(name)) for name in "abcde"])
    graph = builder.add_edge(START, "a").compile(checkpointer=InMemorySaver())
    with pytest.raises(GraphRecursionError):
        driver.invoke(graph, {"log": []}, {**THREAD, "recursion_limit": 2}, durability=durability)

    result = driver.invoke(graph, None, THREAD, durability=durability)

    assert result == {"log": list("abcde")}
    assert ran == list("abcde")


def test_an_answer_is_lost_with_the_process_that_was_given_it(durability: Any) -> None:
    """Until the task has ended its question waits, and is asked again under the same id."""
    dies = True

    def ask(state: State) -> State:
        answer = interrupt("name?")
        if dies:
            raise KeyboardInterrupt
        return {"log": [answer]}

    builder = StateGraph(State).add_node(ask).add_edge(START, "ask")
    graph = builder.compile(checkpointer=InMemorySaver())
    (asked,) = graph.invoke({"log": []}, THREAD, durability=durability)["__interrupt__"]
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(Command(resume="Ann"), THREAD, durability=durability)
    dies = False

    (again,) = graph.invoke(None, THREAD, durability=durability)["__interrupt__"]
    result = graph.invoke(Command(resume="Bo"), THREAD, durability=durability)

    assert again.id == asked.id
    assert result == {"log": ["Bo"]}
