"""What cannot be resumed is refused: a clear error, and nothing is written."""

from __future__ import annotations

import asyncio
import copy
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from millstream.errors import (
    EmptyInputError,
    InvalidUpdateError,
    UnknownInterruptError,
    is_invalid_resume,
)
from millstream.func import task
from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
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


def ask_again(state: State) -> Any:
    return {"log": [interrupt("again?")]}


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


@pytest.mark.parametrize("nodes", [(ask,), (ask, ask_too)], ids=["one", "two"])
def test_an_empty_map_is_refused_while_something_waits(driver: Any, nodes: Any) -> None:
    """It may be meant as an answer, or as no answer at all."""
    saver = InMemorySaver()
    graph = asking(*nodes, saver=saver)
    first = driver.invoke(graph, {"x": 1}, thread())["__interrupt__"][0]
    before = contents(saver)

    with pytest.raises(UnknownInterruptError, match=r"resume=\{id: \{\}\}"):
        driver.invoke(graph, Command(resume={}, update={"x": 2}), thread())

    assert contents(saver) == before
    driver.invoke(graph, Command(resume={first.id: {}}), thread())
    assert first.id not in [question.id for question in graph.get_state(thread()).interrupts]


def test_an_unknown_id_among_known_ones_is_refused(driver: Any) -> None:
    """The id of a question that was answered before does nothing."""
    saver = InMemorySaver()
    graph = asking(ask_too, ask_again, saver=saver)
    asked = driver.invoke(graph, {"x": 1}, thread())["__interrupt__"]
    first, second = (question.id for question in asked)
    before = contents(saver)

    with pytest.raises(UnknownInterruptError, match="0" * 32):
        driver.invoke(graph, Command(resume={first: 1, "0" * 32: 2}), thread())
    assert contents(saver) == before

    driver.invoke(graph, Command(resume={first: 1}), thread())
    result = driver.invoke(graph, Command(resume={first: 3, second: 2}), thread())
    assert sorted(result["log"]) == [1, 2]


def test_none_alone_is_no_answer(driver: Any) -> None:
    saver = InMemorySaver()
    graph = asking(ask_too, saver=saver)
    driver.invoke(graph, {"x": 1}, thread())
    before = contents(saver)

    with pytest.raises(EmptyInputError, match=r"resume=\{id: None\}"):
        driver.invoke(graph, Command(resume=None), thread())

    assert contents(saver) == before


def answering_none() -> list[Any]:
    """Return graphs that ask one question somewhere, and log the answer."""

    @task
    def step() -> Any:
        return interrupt("?")

    @tool
    def asking_tool() -> str:
        """Ask."""
        return repr(interrupt("?"))

    def twice(state: State) -> Any:
        return {"log": [interrupt("?"), interrupt("again?")]}

    call = {"name": "asking_tool", "args": {}, "id": "1", "type": "tool_call"}
    tools = ToolNode([asking_tool])
    called: Any = tools.invoke
    return [
        asking(ask_too),
        asking(twice),
        StateGraph(State).add_node("in", asking(ask_too)).add_edge(START, "in").compile(),
        asking(lambda_of(lambda _: {"log": [step().result()]})),
        asking(lambda_of(lambda _: {"log": [m.content for m in called([call])["messages"]]})),
    ]


def lambda_of(func: Callable[..., Any]) -> Callable[..., Any]:
    func.__name__ = "node"
    return func


@pytest.mark.parametrize("place", range(5), ids=["node", "twice", "nested", "task", "tool"])
def test_none_by_id_is_an_answer(driver: Any, place: int) -> None:
    graph = answering_none()[place].copy({"checkpointer": InMemorySaver()})
    result = driver.invoke(graph, {"x": 1}, thread())
    while "__interrupt__" in result:
        (question,) = result["__interrupt__"]
        result = driver.invoke(graph, Command(resume={question.id: None}), thread())

    assert result["log"] in ([None], [None, None], ["None"])


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
    assert driver.invoke(graph, Command(resume="two"), thread())["log"] == ["one", "two"]


def test_an_update_in_the_name_of_nobody_writes_nothing() -> None:
    saver = InMemorySaver()
    graph = asking(ask, saver=saver)
    graph.invoke({"x": 1}, thread())
    before = contents(saver)

    with pytest.raises(InvalidUpdateError, match="Node nope does not exist"):
        graph.update_state(thread(), {"x": 2}, as_node="nope")

    assert contents(saver) == before


def test_an_answer_that_fits_counts_beside_one_that_does_not(driver: Any) -> None:
    """Its task goes on to its end, and does not run again."""
    effects: list[str] = []
    rounds = 5
    """How often the event loop gets a turn before the task ends."""

    def pay(state: State) -> Any:
        answer = interrupt("pay?")
        effects.append("paid")
        return {"log": [answer]}

    async def apay(state: State) -> Any:
        answer = interrupt("pay?")
        effects.append("paid")
        for _ in range(rounds):
            await asyncio.sleep(0)
        return {"log": [answer]}

    builder = StateGraph(State).add_node(ask_form).add_edge(START, "ask_form")
    builder.add_node("pay", pay if driver.name == "sync" else apay).add_edge(START, "pay")
    graph = builder.compile(checkpointer=InMemorySaver())
    asked = driver.invoke(graph, {"x": 1}, thread())
    ids = {question.value: question.id for question in asked["__interrupt__"]}

    answers = {ids["form?"]: {"count": "many"}, ids["pay?"]: "yes"}
    with pytest.raises(ValidationError):
        driver.invoke(graph, Command(resume=answers), thread())
    state = graph.get_state(thread())
    result = driver.invoke(graph, Command(resume={ids["form?"]: {"count": 2}}), thread())

    assert [question.id for question in state.interrupts] == [ids["form?"]]
    assert (state.next, effects) == (("ask_form",), ["paid"])
    assert result["log"] == [2, "yes"]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("asks_more", [False, True], ids=["done", "asks-more"])
def test_a_nested_question_that_was_answered_well_waits_no_more(
    driver: Any, depth: int, asks_more: bool
) -> None:
    effects: list[str] = []

    def pay(state: State) -> Any:
        answers = [interrupt("pay?")]
        effects.append("paid")
        if asks_more:
            answers.append(interrupt("more?"))
        return {"log": answers}

    graph = asking(ask_form, pay)
    for level in range(depth):
        saver = InMemorySaver() if level == depth - 1 else None
        builder = StateGraph(State).add_node("in", graph).add_edge(START, "in")
        graph = builder.compile(checkpointer=saver)
    asked = driver.invoke(graph, {"x": 1}, thread())["__interrupt__"]
    ids = {question.value: question.id for question in asked}

    answers = {ids["form?"]: {"count": "many"}, ids["pay?"]: "yes"}
    with pytest.raises(ValidationError):
        driver.invoke(graph, Command(resume=answers), thread())
    state = graph.get_state(thread(), subgraphs=True)

    waiting = ["form?", "more?"] if asks_more else ["form?"]
    while state is not None:
        assert [question.value for question in state.interrupts] == waiting
        inner = state.tasks[0].state
        state = inner if hasattr(inner, "interrupts") else None
    if asks_more:
        ids |= {question.value: question.id for question in graph.get_state(thread()).interrupts}
        driver.invoke(graph, Command(resume={ids["more?"]: "more"}), thread())
    result = driver.invoke(graph, Command(resume={"count": 2}), thread())

    assert result["log"] == [2, "yes", *(["more"] if asks_more else [])]
    assert effects == ["paid"] * (1 + asks_more)


@pytest.mark.parametrize("is_nested", [False, True], ids=["alone", "nested"])
def test_a_tool_whose_answer_does_not_fit_asks_again(driver: Any, is_nested: bool) -> None:
    """The model hears nothing of it, whatever errors the node handles."""

    @tool
    def ask(text: str) -> str:
        """Ask."""
        return str(interrupt(text, response_schema=int))

    node = ToolNode([ask], handle_tool_errors=True)
    builder = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools")
    if is_nested:
        inner = builder.compile()
        builder = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")
    graph = builder.compile(checkpointer=InMemorySaver())
    call = {"name": "ask", "args": {"text": "?"}, "id": "1", "type": "tool_call"}
    driver.invoke(graph, {"messages": [AIMessage("", tool_calls=[call])]}, thread())

    with pytest.raises(ValidationError):
        driver.invoke(graph, Command(resume="many"), thread())

    assert questions(driver.invoke(graph, None, thread())) == ["?"]
    result = driver.invoke(graph, Command(resume=3), thread())
    assert result["messages"][-1].content == "3"
