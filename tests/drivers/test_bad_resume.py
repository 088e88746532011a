"""What cannot be resumed is refused: a clear error, and nothing is written."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from millstream.errors import (
    EmptyInputError,
    InvalidUpdateError,
    UnknownInterruptError,
    is_invalid_resume,
)
from millstream.graph import START, StateGraph
from millstream.types import Command, interrupt

STRICT = {"__pregel_strict_resume": True}


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


class Form(BaseModel):
    count: int


def asking(*nodes: Callable[..., Any], saver: Any = None) -> Any:
    """Compile a graph whose nodes run side by side."""
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node)
        builder.add_edge(START, node.__name__)
    return builder.compile(checkpointer=saver)


def ask(state: State) -> Any:
    return {"log": [interrupt("first?"), interrupt("second?")]}


def ask_too(state: State) -> Any:
    return {"log": [interrupt("other?")]}


def ask_form(state: State) -> Any:
    return {"log": [interrupt("form?", response_schema=Form).count]}


def thread(**more: Any) -> Any:
    return {"configurable": {"thread_id": "1", **more}}


def contents(saver: InMemorySaver) -> Any:
    """Return a copy of everything that is stored."""
    return copy.deepcopy((saver.storage, saver.writes, saver.blobs))


def questions(result: Any) -> list[Any]:
    return [question.value for question in result["__interrupt__"]]


@pytest.mark.parametrize("given", [None, Command(resume="a"), Command(resume={"0" * 32: "a"})])
def test_a_thread_nobody_knows_has_nothing_to_resume(driver: Any, given: Any) -> None:
    saver = InMemorySaver()
    graph = asking(ask, saver=saver)

    with pytest.raises(EmptyInputError):
        driver.invoke(graph, given, thread())

    assert list(saver.list(None)) == []


def test_a_missing_thread_is_named(driver: Any) -> None:
    saver = InMemorySaver()
    graph = asking(ask, saver=saver)

    with pytest.raises(KeyError, match="thread_id"):
        driver.invoke(graph, {"x": 1}, {"configurable": {"user": "u"}})

    assert list(saver.list(None)) == []


def test_answers_need_a_saver(driver: Any) -> None:
    with pytest.raises(RuntimeError, match="without checkpointer"):
        driver.invoke(asking(ask), Command(resume="a"), thread())


def test_one_answer_for_two_questions_is_refused(driver: Any) -> None:
    saver = InMemorySaver()
    graph = asking(ask, ask_too, saver=saver)
    driver.invoke(graph, {"x": 1}, thread())
    before = contents(saver)

    with pytest.raises(RuntimeError, match="specify the interrupt id"):
        driver.invoke(graph, Command(resume="a", update={"x": 2}), thread())

    assert contents(saver) == before


@pytest.mark.parametrize(
    ("resume", "reason"), [({"0" * 32: "a"}, "not_pending"), ({}, "empty_map"), ("a", "ambiguous")]
)
def test_strict_answers_must_match(driver: Any, resume: Any, reason: str) -> None:
    saver = InMemorySaver()
    graph = asking(ask, ask_too, saver=saver)
    driver.invoke(graph, {"x": 1}, thread())
    before = contents(saver)

    with pytest.raises(UnknownInterruptError) as caught:
        driver.invoke(graph, Command(resume=resume, update={"x": 2}), thread(**STRICT))

    assert caught.value.reason == reason
    assert len(caught.value.pending_ids) == 2
    assert contents(saver) == before


def test_an_answer_that_does_not_fit_leaves_the_question_as_it_was(driver: Any) -> None:
    saver = InMemorySaver()
    graph = asking(ask_form, saver=saver)
    driver.invoke(graph, {"x": 1}, thread())
    before = contents(saver)

    with pytest.raises(ValidationError) as caught:
        driver.invoke(graph, Command(resume={"count": "many"}), thread())

    assert is_invalid_resume(caught.value)
    assert contents(saver) == before
    assert questions(driver.invoke(graph, None, thread())) == ["form?"]
    assert driver.invoke(graph, Command(resume={"count": 2}), thread())["log"] == [2]


def test_a_pending_question_is_asked_again_and_not_answered_with_an_older_answer(
    driver: Any,
) -> None:
    graph = asking(ask, saver=InMemorySaver())
    driver.invoke(graph, {"x": 1}, thread())
    driver.invoke(graph, Command(resume="one"), thread())

    assert questions(driver.invoke(graph, None, thread())) == ["second?"]
    assert questions(driver.invoke(graph, Command(resume={}), thread())) == ["second?"]
    assert driver.invoke(graph, Command(resume="two"), thread())["log"] == ["one", "two"]


def test_an_update_in_the_name_of_nobody_writes_nothing() -> None:
    saver = InMemorySaver()
    graph = asking(ask, saver=saver)
    graph.invoke({"x": 1}, thread())
    before = contents(saver)

    with pytest.raises(InvalidUpdateError, match="Node nope does not exist"):
        graph.update_state(thread(), {"x": 2}, as_node="nope")

    assert contents(saver) == before
