"""Which answer reaches which question when nodes fail, wait for each other or use threads."""

from __future__ import annotations

import contextvars
import operator
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict, Union

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from millstream.errors import GraphInterrupt
from millstream.graph import START, StateGraph
from millstream.types import Command, Interrupt, interrupt

pytestmark = pytest.mark.timeout(20)

PATIENCE = 10.0
"""Seconds after which a test that waits for something gives up."""
THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


def graph_of(saver: Any = None, before: Any = None, **nodes: Callable[[State], Any]) -> Any:
    """Return a graph whose nodes all run in the first superstep."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        builder.add_node(name, node).add_edge(START, name)
    return builder.compile(checkpointer=saver or InMemorySaver(), interrupt_before=before)


def questions(result: Any) -> list[Any]:
    """Return what a run asked at its end."""
    return [question.value for question in result["__interrupt__"]]


class Flaky:
    """A node that asks two questions, and fails in chosen runs at chosen places."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.runs = 0

    def __call__(self, state: State) -> State:
        self.runs += 1
        self.pass_by("before")
        first = interrupt("first?")
        self.pass_by("between")
        second = interrupt("second?")
        self.pass_by("after")
        return {"out": [first, second]}

    def pass_by(self, place: str) -> None:
        """Fail here in the run that was chosen."""
        if self.failures.get(place) == self.runs:
            raise OSError(place)


@pytest.mark.parametrize("place", ["before", "between", "after"])
@pytest.mark.parametrize("is_map", [True, False], ids=["by id", "bare"])
def test_an_answer_is_kept_wherever_the_node_fails(driver: Any, place: str, is_map: bool) -> None:
    """Before it asks again, too."""
    graph = graph_of(node=Flaky(**{place: 3}))

    def answer(value: str) -> Any:
        (question,) = graph.get_state(THREAD).interrupts
        resume = {question.id: value} if is_map else value
        return driver.invoke(graph, Command(resume=resume), THREAD)

    driver.invoke(graph, {}, THREAD)
    assert questions(answer("A")) == ["second?"]
    with pytest.raises(OSError, match=place):
        answer("B")

    assert driver.invoke(graph, None, THREAD) == {"out": ["A", "B"]}


def test_answers_are_kept_through_several_failures(driver: Any) -> None:
    """A failure before a question that was answered earlier does not forget its answer."""
    graph = graph_of(node=Flaky(after=3, between=4, before=5))

    driver.invoke(graph, {}, THREAD)
    driver.invoke(graph, Command(resume="A"), THREAD)
    for given, place in ((Command(resume="B"), "after"), (None, "between"), (None, "before")):
        with pytest.raises(OSError, match=place):
            driver.invoke(graph, given, THREAD)

    assert driver.invoke(graph, None, THREAD) == {"out": ["A", "B"]}


def test_an_answer_sent_twice_answers_one_question(driver: Any) -> None:
    graph = graph_of(node=Flaky())
    (question,) = driver.invoke(graph, {}, THREAD)["__interrupt__"]
    again = Command(resume={question.id: "A"})

    asked = [questions(driver.invoke(graph, again, THREAD)) for _ in range(2)]

    assert asked == [["second?"], ["second?"]]


class Listening(InMemorySaver):
    """A saver that says when a question is stored."""

    def __init__(self) -> None:
        super().__init__()
        self.has_question = threading.Event()

    def put_writes(self, *args: Any) -> None:
        super().put_writes(*args)
        if any(channel == "__interrupt__" for channel, _ in args[1]):
            self.has_question.set()

    async def aput_writes(self, *args: Any) -> None:
        self.put_writes(*args)


def test_a_bare_answer_is_not_taken_by_a_sibling_that_asks_first(driver: Any) -> None:
    """It was given when only one question waited, and is for that one."""
    saver, has_asked, runs = Listening(), threading.Event(), list[str]()

    def pay(state: State) -> State:
        if saver.has_question.is_set():
            has_asked.wait(PATIENCE)
        return {"out": [("pay?", interrupt("pay?"))]}

    def delete(state: State) -> State:
        saver.has_question.wait(PATIENCE)
        runs.append("delete")
        if len(runs) == 1:
            raise OSError("flaky")
        try:
            return {"out": [("delete?", interrupt("delete?"))]}
        finally:
            has_asked.set()

    graph = graph_of(saver, pay=pay, delete=delete)
    with pytest.raises(OSError, match="flaky"):
        driver.invoke(graph, {}, THREAD, durability="sync")
    result = driver.invoke(graph, Command(resume="yes"), THREAD)

    assert result["out"] == [("pay?", "yes")]
    assert questions(result) == ["delete?"]


def test_an_answer_that_made_its_node_fail_can_be_replaced_by_id(driver: Any) -> None:
    graph = graph_of(age=lambda state: {"out": [int(interrupt("age?"))]})
    (question,) = driver.invoke(graph, {}, THREAD)["__interrupt__"]

    with pytest.raises(ValueError, match="forty"):
        driver.invoke(graph, Command(resume="forty"), THREAD)

    assert graph.get_state(THREAD).interrupts == (question,)
    assert driver.invoke(graph, Command(resume={question.id: "40"}), THREAD) == {"out": [40]}


INTEGER, STRING = {"type": "integer"}, {"type": "string"}


@pytest.mark.parametrize(
    ("types", "shown", "answer"),
    [
        ([Annotated[int, {"no": ["hash"]}]], [INTEGER], 5),
        # These two are equal, so a cache may take one for the other.
        ([Union[int, str], Union[str, int]], [INTEGER, STRING], "5"),
        ([Union[str, int], Union[int, str]], [STRING, INTEGER], "5"),
    ],
    ids=["unhashable", "union", "reversed union"],
)
def test_any_type_describes_answers(
    driver: Any, types: list[Any], shown: list[Any], answer: Any
) -> None:
    seen: list[Any] = []
    for type_ in types:
        graph = graph_of(node=lambda _, t=type_: {"out": [interrupt("?", response_schema=t)]})
        (question,) = driver.invoke(graph, {}, THREAD)["__interrupt__"]
        seen.append(question.response_schema)
        assert driver.invoke(graph, Command(resume="5"), THREAD) == {"out": [answer]}

    described = [schema.get("anyOf", [schema])[0] for schema in seen]
    assert described == shown


def ask_all(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Call functions in threads of their own; ask the caller's caller if one asks."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(contextvars.copy_context().run, task) for task in tasks]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, GraphInterrupt)):
        raise error
    return [future.result() for future in futures]


def test_threads_of_a_node_ask_at_once(driver: Any) -> None:
    """All their questions reach a person, and each answer reaches one of them."""
    count = 8

    def node(state: State) -> State:
        barrier = threading.Barrier(count, timeout=PATIENCE)

        def ask() -> Any:
            barrier.wait()
            return interrupt("?")

        return {"out": ask_all([ask] * count)}

    graph = graph_of(node=node)
    asked = driver.invoke(graph, {}, THREAD)["__interrupt__"]
    answers = {question.id: number for number, question in enumerate(asked)}
    result = driver.invoke(graph, Command(resume=answers), THREAD)

    assert [question.value for question in asked] == ["?"] * count
    assert sorted(result["out"]) == list(range(count))


def test_a_thread_with_a_slow_schema_holds_up_no_other_question(driver: Any) -> None:
    """The other one asks first, so its question is the first and gets the answer."""
    is_slow, has_asked = threading.Event(), threading.Event()
    answers: list[Any] = []

    class Slow:
        @classmethod
        def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
            is_slow.set()
            has_asked.wait(PATIENCE)
            return core_schema.any_schema()

    def ask_slowly() -> Any:
        return interrupt("slow?", response_schema=Slow)

    def ask_quickly() -> Any:
        is_slow.wait(PATIENCE)
        try:
            answers.append(interrupt("quick?"))
        finally:
            has_asked.set()

    graph = graph_of(before=["node"], node=lambda _: ask_all([ask_slowly, ask_quickly]))
    driver.invoke(graph, {}, THREAD)
    result = driver.invoke(graph, Command(resume="yes"), THREAD)

    assert answers == ["yes"]
    assert questions(result) == ["slow?"]
    assert all(isinstance(question, Interrupt) for question in result["__interrupt__"])
