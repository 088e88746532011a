"""What programs need that run the nodes of a graph themselves: in activities, or step by step."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph._internal import _runnable as their_runnable
from langgraph.checkpoint.memory import InMemorySaver

from millstream._base.runnable import RunnableCallable
from millstream.compat.algorithm import LazyAtomicCounter
from millstream.compat.scratchpad import PregelScratchpad
from millstream.constants import (
    CONF,
    CONFIG_KEY_READ,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    RESUME,
)
from millstream.errors import GraphInterrupt
from millstream.graph import START, StateGraph
from millstream.pregel._structure.writers import SKIP_WRITE, ChannelWrite, ChannelWriteEntry
from millstream.types import Command, Interrupt, Send, interrupt

pytestmark = pytest.mark.timeout(20)

THREAD: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    a: Any


def scratchpad(*answers: Any, null: Any = None) -> PregelScratchpad:
    """Return a scratchpad that a program makes."""
    left = [null]

    def get_null_resume(consume: bool = False) -> Any:
        return left.pop() if left and consume else None

    return PregelScratchpad(
        step=0,
        stop=1,
        call_counter=LazyAtomicCounter(),
        interrupt_counter=LazyAtomicCounter(),
        get_null_resume=get_null_resume,
        resume=list(answers),
        subgraph_counter=LazyAtomicCounter(),
    )


def asked(pad: PregelScratchpad, **options: Any) -> tuple[list[Any], list[Any]]:
    """Ask two questions outside of a run; return what came of it, and what was sent."""
    sent: list[Any] = []
    keys = {"checkpoint_ns": "n:1", CONFIG_KEY_SCRATCHPAD: pad, CONFIG_KEY_SEND: sent.extend}
    token = var_child_runnable_config.set({"configurable": keys})
    found: list[Any] = []
    try:
        found += [interrupt(question, **options) for question in ("q", "r")]
    except GraphInterrupt as error:
        found += error.args[0]
    finally:
        var_child_runnable_config.reset(token)
    return found, sent


# -- scratchpads ----------------------------------------------------------------------------------


def test_a_scratchpad_is_a_dataclass_with_the_fields_of_langgraph() -> None:
    pad = scratchpad("a")

    assert [field.name for field in dataclasses.fields(PregelScratchpad)] == [
        "step",
        "stop",
        "call_counter",
        "interrupt_counter",
        "get_null_resume",
        "resume",
        "subgraph_counter",
    ]
    assert dataclasses.replace(pad, resume=["b"]).resume == ["b"]
    assert [pad.call_counter(), pad.call_counter()] == [0, 1]


def test_a_question_outside_of_a_run_is_answered_from_a_scratchpad() -> None:
    found, sent = asked(scratchpad("a", "b"))

    assert found == ["a", "b"]
    assert sent == [(RESUME, ["a", "b"])] * 2


def test_a_question_outside_of_a_run_has_the_id_it_has_in_one() -> None:
    found, sent = asked(scratchpad())

    assert found == [Interrupt("q", "4688d00afb8a966e0c69d90018e7cc91")]
    assert sent == []


def test_an_answer_without_a_place_is_for_the_first_question_that_has_none() -> None:
    pad = scratchpad("a", null="b")

    assert asked(pad)[0] == ["a", "b"]
    assert pad.resume == ["a", "b"]


def test_an_answer_from_a_scratchpad_is_checked() -> None:
    assert asked(scratchpad("1", "2"), response_schema=int)[0] == [1, 2]


def test_a_question_outside_of_everything_is_refused() -> None:
    token = var_child_runnable_config.set({"configurable": {}})
    try:
        with pytest.raises(RuntimeError, match="outside of a graph run"):
            interrupt("q")
    finally:
        var_child_runnable_config.reset(token)


def test_the_answers_in_the_scratchpad_of_a_task_are_the_ones_that_count(driver: Any) -> None:
    seen: list[Any] = []

    def node(state: State, config: RunnableConfig) -> State:
        pad = config["configurable"][CONFIG_KEY_SCRATCHPAD]
        assert dataclasses.is_dataclass(pad)
        pad.resume.append("put there")
        seen.append([interrupt("q"), list(pad.resume)])
        return {"a": interrupt("r")}

    builder = StateGraph(State).add_node("n", node).add_edge(START, "n")
    graph = builder.compile(checkpointer=InMemorySaver())

    waiting = driver.invoke(graph, {"a": 0}, THREAD)

    assert seen == [["put there", ["put there"]]]
    assert [question.value for question in waiting["__interrupt__"]] == ["r"]


def test_the_scratchpad_of_a_task_shows_its_answers(driver: Any) -> None:
    seen: list[Any] = []

    def node(state: State, config: RunnableConfig) -> State:
        pad = config["configurable"][CONFIG_KEY_SCRATCHPAD]
        answers = [interrupt("q"), interrupt("r")]
        seen.append(list(pad.resume))
        return {"a": answers}

    builder = StateGraph(State).add_node("n", node).add_edge(START, "n")
    graph = builder.compile(checkpointer=InMemorySaver())
    driver.invoke(graph, {"a": 0}, THREAD)
    driver.invoke(graph, Command(resume="1"), THREAD)
    driver.invoke(graph, Command(resume="2"), THREAD)

    assert seen == [["1", "2"]]


# -- writers --------------------------------------------------------------------------------------


def written(writers: list[Any], result: Any, state: dict[str, Any], *, is_async: bool) -> list[Any]:
    """Have writers write a result, and return what they wrote."""
    sent: list[Any] = []

    def read(select: Any, fresh: bool = False) -> Any:
        assert fresh
        now = {**state, **dict(sent)}
        return now.get(select) if isinstance(select, str) else {key: now[key] for key in select}

    config: Any = {CONF: {CONFIG_KEY_SEND: sent.extend, CONFIG_KEY_READ: read}}
    for writer in writers:
        given = (
            asyncio.run(writer.ainvoke(result, config))
            if is_async
            else writer.invoke(result, config)
        )
        assert given == result
    return sent


@pytest.mark.parametrize("is_async", [False, True])
def test_the_writers_of_a_node_write_what_the_engine_would(is_async: bool) -> None:
    def path(state: State) -> str:
        return "big" if state["a"] > 3 else "small"

    builder = StateGraph(State)
    for name in ("n", "big", "small"):
        builder.add_node(name, lambda state: None)
    builder.add_conditional_edges("n", path, ["big", "small"]).add_edge("n", "big")
    node = builder.add_edge(START, "n").compile().nodes["n"]

    for result, target in (({"a": 5}, "big"), ({"a": 1}, "small")):
        found = written(node.flat_writers, result, {"a": 0}, is_async=is_async)
        assert found == [
            ("a", result["a"]),
            ("branch:to:big", None),
            (f"branch:to:{target}", None),
        ]
    assert node.writers
    assert all(ChannelWrite.is_writer(writer) for writer in node.writers)


def test_a_command_is_written_with_its_targets() -> None:
    builder = StateGraph(State).add_node("n", lambda s: None).add_node("m", lambda s: None)
    node = builder.add_edge(START, "n").compile().nodes["n"]

    command: Any = Command(update={"a": 1}, goto=["m", Send("m", 2)])

    assert written(node.flat_writers, command, {}, is_async=False) == [
        ("a", 1),
        ("branch:to:m", None),
        ("__pregel_tasks", Send("m", 2)),
    ]


def test_entries_write_a_constant_the_input_or_what_is_made_of_it() -> None:
    entries = [
        ChannelWriteEntry("input"),
        ChannelWriteEntry("constant", 1),
        ChannelWriteEntry("nothing", None, skip_none=True),
        ChannelWriteEntry("made", mapper=lambda value: value * 2),
        ChannelWriteEntry("skipped", mapper=lambda value: SKIP_WRITE),
    ]

    found = written([ChannelWrite([*entries, Send("n", 3)])], 5, {}, is_async=False)

    assert found == [
        ("input", 5),
        ("constant", 1),
        ("made", 10),
        ("__pregel_tasks", Send("n", 3)),
    ]


# -- functions ------------------------------------------------------------------------------------


def plain(state: Any) -> None: ...


def everything(state: Any, *, config: Any, writer: Any, store: Any, previous: Any) -> None: ...


def with_config(state: Any, config: RunnableConfig) -> None: ...


def with_runtime(state: Any, runtime: Any) -> None: ...


@pytest.mark.parametrize("func", [plain, everything, with_config, with_runtime])
def test_a_runnable_says_what_its_function_accepts(func: Any) -> None:
    func.__annotations__ = {}

    theirs = their_runnable.RunnableCallable(func).func_accepts
    ours = RunnableCallable(func).func_accepts

    assert {name: where for name, (where, _) in ours.items()} == {
        name: where for name, (where, _) in theirs.items()
    }
