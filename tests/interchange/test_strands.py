"""Tools of one node that ask: a thread that LangGraph left waiting, and the other way round."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from differential.engines import Engine, engine
from interchange.playing import OURS, THEIRS

THREAD: Any = {"configurable": {"thread_id": "1"}}


def tools_graph(e: Engine, saver: Any) -> Any:
    """Return a graph whose tools ask what they are told."""

    def ask(text: str) -> str:
        """Ask."""
        return str(e.types.interrupt(text))

    builder = e.graph.StateGraph(e.message.MessagesState)
    builder.add_node("tools", e.module("prebuilt").ToolNode([ask]))
    return builder.add_edge("__start__", "tools").compile(checkpointer=saver)


def calls(*texts: str) -> Any:
    """Return a message that calls the tool once for each text."""
    made = [
        {"name": "ask", "args": {"text": text}, "id": text, "type": "tool_call"} for text in texts
    ]
    return {"messages": [AIMessage("", tool_calls=made)]}


def contents(result: Any) -> list[str]:
    return [message.content for message in result["messages"][1:]]


@pytest.mark.parametrize("is_answered", [False, True], ids=["first question", "second question"])
def test_a_thread_that_langgraph_left_waiting_goes_on(driver: Any, is_answered: bool) -> None:
    """It asked one question after the other; the one that waits is answered by id."""
    saver = InMemorySaver()
    theirs, ours = engine(THEIRS), engine(OURS)
    old, new = tools_graph(theirs, saver), tools_graph(ours, saver)
    old.invoke(calls("a", "b"), THREAD)
    given = {}
    if is_answered:
        (question,) = old.get_state(THREAD).interrupts
        given[question.value] = question.value.upper()
        old.invoke(theirs.types.Command(resume=given[question.value]), THREAD)

    (question,) = new.get_state(THREAD).interrupts
    result = driver.invoke(new, ours.types.Command(resume={question.id: "X"}), THREAD)
    given[question.value] = "X"
    while "__interrupt__" in result:
        question = result["__interrupt__"][0]
        assert question.value not in given
        given[question.value] = "Y"
        result = driver.invoke(new, ours.types.Command(resume={question.id: "Y"}), THREAD)

    assert contents(result) == [given["a"], given["b"]]


def test_langgraph_goes_on_with_a_thread_whose_tools_were_asked_at_once(driver: Any) -> None:
    """It asks what it knows no answer to, one question after the other."""
    saver = InMemorySaver()
    theirs, ours = engine(THEIRS), engine(OURS)
    driver.invoke(tools_graph(ours, saver), calls("a", "b"), THREAD)
    graph = tools_graph(theirs, saver)

    result: Any = graph.invoke(None, THREAD)
    for _ in range(2):
        (question,) = result["__interrupt__"]
        result = graph.invoke(theirs.types.Command(resume=question.value.upper()), THREAD)

    assert sorted(contents(result)) == ["A", "B"]
