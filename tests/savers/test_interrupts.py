"""Questions outlive the process that asked them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic
import pytest
from langchain_core.messages import AIMessage

from differential.engines import CANDIDATE_ROOT, REFERENCE_ROOT
from differential.kit import Log, say, wire
from savers.backends import AsyncRuns, SyncRuns, new_thread


def asking(runs: SyncRuns, *questions: Any, **options: Any) -> Callable[[Any], Any]:
    """Return a node that asks one question after the other and logs the answers."""
    interrupt = runs.engine.types.interrupt

    def node(state: Any) -> dict[str, Any]:
        return {"log": [interrupt(question, **options) for question in questions]}

    return node


def reopened(runs: SyncRuns, graph: Any) -> Any:
    """Return the graph on a new connection, as another process would have it."""
    runs.close()
    runs.open()
    return graph.copy({"checkpointer": runs.saver})


def questions(result: Any) -> list[Any]:
    return [asked.value for asked in result["__interrupt__"]]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_question_is_answered_over_a_new_connection(runs: SyncRuns, durability: str) -> None:
    graph = wire(runs.engine, Log, "START a ask END", a=..., ask=asking(runs, "q"))
    graph = graph.compile(checkpointer=runs.saver)
    resume = runs.engine.types.Command
    thread = new_thread()

    asked = runs.invoke(graph, {"x": 1}, thread, durability=durability)
    graph = reopened(runs, graph)
    state = runs.get_state(graph, thread)
    result = runs.invoke(graph, resume(resume="yes"), thread, durability=durability)

    assert questions(asked) == ["q"]
    assert (state.next, state.interrupts) == (("ask",), tuple(asked["__interrupt__"]))
    assert result == {"x": 1, "log": ["a", "yes"]}
    assert runs.get_state(graph, thread).interrupts == ()


def test_questions_of_one_node_are_asked_in_turn(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START ask END", ask=asking(runs, "q1", "q2", "q3"))
    graph = graph.compile(checkpointer=runs.saver)
    command = runs.engine.types.Command
    thread = new_thread()

    results = [runs.invoke(graph, {"x": 1}, thread)]
    for answer in ("A", 0, False):
        graph = reopened(runs, graph)
        results.append(runs.invoke(graph, command(resume=answer), thread))

    assert [questions(result) for result in results[:3]] == [["q1"], ["q2"], ["q3"]]
    assert results[3] == {"x": 1, "log": ["A", 0, False]}


def test_parallel_questions_are_answered_by_id(runs: SyncRuns) -> None:
    graph = wire(
        runs.engine,
        Log,
        "START p END",
        "START q END",
        p=asking(runs, "p?"),
        q=asking(runs, "q?"),
    ).compile(checkpointer=runs.saver)
    command = runs.engine.types.Command
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread)
    ids = {asked.value: asked.id for asked in runs.get_state(graph, thread).interrupts}
    with pytest.raises(RuntimeError, match="multiple pending interrupts"):
        runs.invoke(graph, command(resume="one"), thread)
    graph = reopened(runs, graph)
    runs.invoke(graph, command(resume={ids["q?"]: "Q"}), thread)
    waiting = runs.get_state(graph, thread)
    result = runs.invoke(graph, command(resume="P"), thread)

    assert [asked.value for asked in waiting.interrupts] == ["p?"]
    assert waiting.values == {"x": 1, "log": ["Q"]}
    assert result == {"x": 1, "log": ["P", "Q"]}


def test_a_question_in_a_nested_graph_is_answered_from_outside(runs: SyncRuns) -> None:
    inner = wire(runs.engine, Log, "START i ask j END", i=..., ask=asking(runs, "q"), j=...)
    nested = inner.compile()
    outer = wire(runs.engine, Log, "START sub z END", sub=nested, z=say("z"))
    graph = outer.compile(checkpointer=runs.saver)
    thread = new_thread()

    asked = runs.invoke(graph, {"x": 1}, thread)
    graph = reopened(runs, graph)
    result = runs.invoke(graph, runs.engine.types.Command(resume="yes"), thread)

    assert questions(asked) == ["q"]
    assert result == {"x": 1, "log": ["i", "yes", "j", "z"]}


def test_an_answer_may_come_with_an_update(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START ask END", ask=asking(runs, "q"))
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread)
    command = runs.engine.types.Command(resume="yes", update={"x": 5})
    result = runs.invoke(graph, command, thread)

    assert result == {"x": 5, "log": ["yes"]}


@pytest.mark.skipif(
    CANDIDATE_ROOT == REFERENCE_ROOT, reason="the reference refuses None and looks for a node ''"
)
@pytest.mark.parametrize("goto", [None, "", (), []])
def test_an_empty_goto_of_a_command_given_as_input_is_none(
    runs: SyncRuns, goto: Any, caplog: pytest.LogCaptureFixture
) -> None:
    graph = wire(runs.engine, Log, "START ask END", ask=asking(runs, "q"))
    graph = graph.compile(checkpointer=runs.saver)
    command = runs.engine.types.Command
    thread = new_thread()

    asked = runs.invoke(graph, command(update={"x": 1}, goto=goto), thread)
    result = runs.invoke(graph, command(resume="yes", goto=goto), thread)
    later = runs.invoke(graph, command(update={"x": 2}, goto=goto), thread)

    assert questions(asked) == ["q"]
    assert result == {"x": 1, "log": ["yes"]}
    assert later == {"x": 2, "log": ["yes"]}
    assert caplog.records == []


@pytest.mark.skipif(
    CANDIDATE_ROOT == REFERENCE_ROOT, reason="the reference reuses an earlier answer"
)
def test_a_pending_question_is_asked_again_not_answered_with_an_older_answer(
    runs: SyncRuns,
) -> None:
    graph = wire(runs.engine, Log, "START ask END", ask=asking(runs, "q1", "q2"))
    graph = graph.compile(checkpointer=runs.saver)
    command = runs.engine.types.Command
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread)
    runs.invoke(graph, command(resume="A"), thread)
    again = runs.invoke(graph, None, thread)
    result = runs.invoke(graph, command(resume="B"), thread)

    assert questions(again) == ["q2"]
    assert result == {"x": 1, "log": ["A", "B"]}


@pytest.mark.skipif(CANDIDATE_ROOT == REFERENCE_ROOT, reason="the reference asks one by one")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_tools_that_ask_get_their_answers_over_new_connections(
    runs: SyncRuns, durability: str
) -> None:
    """The second is answered first, so that there is an answer after a question without one."""

    def ask(text: str) -> str:
        """Ask."""
        return str(runs.engine.types.interrupt(text))

    node = runs.engine.prebuilt.ToolNode([ask])
    builder = runs.engine.graph.StateGraph(runs.engine.message.MessagesState)
    builder.add_node("tools", node).add_edge("__start__", "tools")
    graph = builder.compile(checkpointer=runs.saver)
    calls = [{"name": "ask", "args": {"text": "?"}, "id": id, "type": "tool_call"} for id in "ab"]
    command = runs.engine.types.Command
    thread = new_thread()

    message = AIMessage("", tool_calls=calls)
    asked = runs.invoke(graph, {"messages": [message]}, thread, durability=durability)
    first, second = [question.id for question in asked["__interrupt__"]]
    graph = reopened(runs, graph)
    left = runs.invoke(graph, command(resume={second: "B"}), thread, durability=durability)
    graph = reopened(runs, graph)
    shown = runs.get_state(graph, thread).interrupts
    result = runs.invoke(graph, command(resume={first: "A"}), thread, durability=durability)

    assert [question.id for question in left["__interrupt__"]] == [first]
    assert [question.id for question in shown] == [first]
    assert [message.content for message in result["messages"][1:]] == ["A", "B"]


def test_siblings_of_a_question_are_not_run_again(runs: SyncRuns) -> None:
    calls: list[str] = []

    def side(state: Any) -> dict[str, Any]:
        calls.append("side")
        return {"log": ["side"]}

    graph = wire(
        runs.engine, Log, "START ask END", "START side END", ask=asking(runs, "q"), side=side
    ).compile(checkpointer=runs.saver)
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread)
    graph = reopened(runs, graph)
    result = runs.invoke(graph, runs.engine.types.Command(resume="yes"), thread)

    assert calls == ["side"]
    assert result == {"x": 1, "log": ["yes", "side"]}


def test_an_answer_to_a_question_nobody_asked_stores_nothing(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START ask END", ask=asking(runs, "q"))
    graph = graph.compile(checkpointer=runs.saver)
    thread = new_thread(__pregel_strict_resume=True)
    runs.invoke(graph, {"x": 1}, thread)
    before = runs.stored(thread)

    with pytest.raises(runs.engine.errors.UnknownInterruptError) as caught:
        runs.invoke(graph, runs.engine.types.Command(resume={"0" * 32: "yes"}), thread)

    assert caught.value.reason == "not_pending"
    assert runs.stored(thread) == before


class Answer(pydantic.BaseModel):
    """What the question wants."""

    n: int


def asking_for_a_number(runs: SyncRuns) -> Any:
    interrupt = runs.engine.types.interrupt

    def ask(state: Any) -> dict[str, Any]:
        return {"x": interrupt("q", response_schema=Answer).n}

    return wire(runs.engine, Log, "START ask END", ask=ask).compile(checkpointer=runs.saver)


def test_an_answer_of_the_wrong_shape_can_be_given_again(runs: SyncRuns) -> None:
    graph = asking_for_a_number(runs)
    command = runs.engine.types.Command
    thread = new_thread()
    runs.invoke(graph, {"log": ["in"]}, thread)
    before = [found.checkpoint for found in runs.stored(thread)]

    with pytest.raises(pydantic.ValidationError):
        runs.invoke(graph, command(resume={"n": "many"}), thread)

    assert [found.checkpoint for found in runs.stored(thread)] == before
    assert [asked.value for asked in runs.get_state(graph, thread).interrupts] == ["q"]
    assert runs.invoke(graph, command(resume={"n": 3}), thread) == {"x": 3, "log": ["in"]}


@pytest.mark.skipif(CANDIDATE_ROOT == REFERENCE_ROOT, reason="the reference keeps the answer")
def test_an_answer_of_the_wrong_shape_is_not_kept(runs: SyncRuns) -> None:
    graph = asking_for_a_number(runs)
    command = runs.engine.types.Command
    thread = new_thread()
    runs.invoke(graph, {"log": ["in"]}, thread)

    with pytest.raises(pydantic.ValidationError):
        runs.invoke(graph, command(resume={"n": "many"}), thread)
    again = runs.invoke(graph, None, thread)

    assert questions(again) == ["q"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_graphs_that_one_node_calls_ask_in_turn(runs: SyncRuns, durability: str) -> None:
    """One that was answered and has ended is not asked again when the next one has its answer."""
    nested = wire(runs.engine, Log, "START ask END", ask=asking(runs, "q")).compile()

    def node(state: Any) -> dict[str, Any]:
        results = [nested.invoke({"x": number}) for number in range(3)]
        return {"log": [result["log"] for result in results]}

    async def anode(state: Any) -> dict[str, Any]:
        results = [await nested.ainvoke({"x": number}) for number in range(3)]
        return {"log": [result["log"] for result in results]}

    graph = wire(runs.engine, Log, "START n END", n=anode if isinstance(runs, AsyncRuns) else node)
    graph = graph.compile(checkpointer=runs.saver)
    command = runs.engine.types.Command
    thread = new_thread()

    runs.invoke(graph, {"x": 1}, thread, durability=durability)
    for answer in "abc":
        graph = reopened(runs, graph)
        result = runs.invoke(graph, command(resume=answer), thread, durability=durability)

    assert result == {"x": 1, "log": [["a"], ["b"], ["c"]]}
