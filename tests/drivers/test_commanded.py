"""What a command given to a thread leads to is in the thread's state."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from millstream.graph import START, StateGraph
from millstream.types import Command, Send, interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


def asking(question: str) -> Callable[[State], Any]:
    return lambda state: {"out": [interrupt(question)]}


def new_graph() -> Any:
    """Return a graph that ends after its first node, and two that ask if they are sent to."""
    builder = StateGraph(State).add_node("first", lambda state: {"out": ["first"]})
    builder.add_node("p", asking("p?")).add_node("q", asking("q?"))
    return builder.add_edge(START, "first").compile(checkpointer=InMemorySaver())


def state_of(graph: Any) -> tuple[Any, dict[str, str], Any]:
    """Return what runs next, the ids of what is asked, and the values."""
    state = graph.get_state(THREAD)
    asked = {question.value: question.id for question in state.interrupts}
    assert asked == {q.value: q.id for task in state.tasks for q in task.interrupts}
    return state.next, asked, state.values["out"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("goto", ["p", Send("p", {})], ids=["name", "send"])
def test_a_question_reached_by_goto_is_in_the_state(
    driver: Any, durability: Any, goto: Any
) -> None:
    graph = new_graph()
    driver.invoke(graph, {}, THREAD, durability=durability)

    result = driver.invoke(graph, Command(goto=goto), THREAD, durability=durability)
    (question,) = result["__interrupt__"]
    assert state_of(graph) == (("p",), {"p?": question.id}, ["first"])
    (entry, *_) = graph.get_state_history(THREAD)
    assert (entry.next, entry.interrupts) == (("p",), (question,))

    answer = Command(resume={question.id: "P"})
    assert driver.invoke(graph, answer, THREAD, durability=durability)["out"] == ["first", "P"]
    assert state_of(graph) == ((), {}, ["first", "P"])


def test_a_question_behind_a_command_to_a_waiting_thread_is_in_the_state(driver: Any) -> None:
    """Beside the one that waited, and each is answered by its id."""
    graph = new_graph()
    driver.invoke(graph, {}, THREAD)
    driver.invoke(graph, Command(goto="p"), THREAD)

    driver.invoke(graph, Command(goto="q", update={"out": ["update"]}), THREAD)
    following, asked, values = state_of(graph)
    assert (following, sorted(asked), values) == (("p", "q"), ["p?", "q?"], ["first", "update"])

    driver.invoke(graph, Command(resume={asked["q?"]: "Q"}), THREAD)
    assert state_of(graph) == (("p",), {"p?": asked["p?"]}, ["first", "update", "Q"])
    result = driver.invoke(graph, Command(resume="P"), THREAD)
    assert result["out"] == ["first", "update", "P", "Q"]


def test_an_answer_with_goto_leads_to_the_next_question(driver: Any) -> None:
    graph = new_graph()
    driver.invoke(graph, {}, THREAD)
    driver.invoke(graph, Command(goto="p"), THREAD)

    driver.invoke(graph, Command(resume="P", goto="q"), THREAD)
    following, asked, values = state_of(graph)

    assert (following, list(asked), values) == (("q",), ["q?"], ["first", "P"])
    assert driver.invoke(graph, Command(resume="Q"), THREAD)["out"] == ["first", "P", "Q"]


def test_what_a_command_led_to_can_be_skipped(driver: Any) -> None:
    """What it wrote stays."""
    graph = new_graph()
    driver.invoke(graph, {}, THREAD)
    driver.invoke(graph, Command(goto="p", update={"out": ["update"]}), THREAD)

    graph.update_state(THREAD, None, as_node="__end__")

    assert state_of(graph) == ((), {}, ["first", "update"])


class CountedUpdate(dict[str, Any]):
    """An update that counts how often it is read."""

    reads = 0

    def items(self) -> Any:
        self.reads += 1
        return super().items()


def test_the_update_of_a_command_is_read_once(driver: Any) -> None:
    """It is checked and written in one: no other thread can change it in between."""
    graph = new_graph()
    driver.invoke(graph, {}, THREAD)
    update = CountedUpdate(out=["told"])

    driver.invoke(graph, Command(update=update), THREAD)

    assert update.reads == 1
    assert state_of(graph)[2] == ["first", "told"]
