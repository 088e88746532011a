"""Nodes that call graphs, where worker processes can find them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Annotated, Any

from typing_extensions import TypedDict

from executors.acting import State, mark, where
from millstream.channels import UntrackedValue
from millstream.executors import ProcessExecutor
from millstream.graph import START, StateGraph
from millstream.types import interrupt


def first(state: State) -> State:
    mark(state, "first")
    return {"log": ["first"]}


def ask(state: State) -> State:
    return {"log": [interrupt("sow?"), interrupt("reap?")]}


def last(state: State) -> State:
    mark(state, "last")
    return {"log": ["last"]}


def ask_count(state: State) -> State:
    return {"log": [(state["count"], interrupt(state["count"]))]}


def count(state: State) -> State:
    return {"count": state.get("count", 0) + 1}


ASKING = (
    StateGraph(State)
    .add_sequence([("first", first), ("ask", ask), ("last", last)])
    .add_edge(START, "first")
    .compile()
)
ASKING_ONCE = StateGraph(State).add_node("ask", ask_count).add_edge(START, "ask").compile()
COUNTING = StateGraph(State).add_node("count", count).add_edge(START, "count").compile(True)
OUTER = (
    StateGraph(State)
    .add_node("inside", lambda state: ASKING.invoke(state))
    .add_edge(START, "inside")
    .compile()
)


def call(state: State) -> State:
    mark(state, "called")
    return {"log": ASKING.invoke({"log": [], "file": state["file"]})["log"]}


async def acall(state: State) -> State:
    mark(state, "called")
    return {"log": (await ASKING.ainvoke({"log": [], "file": state["file"]}))["log"]}


def call_deep(state: State) -> State:
    return {"log": OUTER.invoke({"log": [], "file": state["file"]})["log"]}


def call_twice(state: State) -> State:
    one = ASKING_ONCE.invoke({"log": [], "count": 1})["log"]
    return {"log": one + ASKING_ONCE.invoke({"log": [], "count": 2})["log"]}


def call_side_by_side(state: State) -> State:
    def answer(number: int) -> Any:
        return ASKING_ONCE.invoke({"log": [], "count": number})["log"]

    with ThreadPoolExecutor(3) as threads:
        started = [threads.submit(copy_context().run, answer, number) for number in range(3)]
        return {"log": [each.result()[0] for each in started]}


def call_with_executor(state: State) -> State:
    with ProcessExecutor(1) as executor:
        builder = StateGraph(State).add_node("where", where, executor=executor)
        inner = builder.add_edge(START, "where").compile()
        return {"log": [os.getpid(), *inner.invoke({"log": []})["log"]]}


def call_counting(state: State) -> State:
    return {"log": [COUNTING.invoke({})["count"]]}


class Secret(TypedDict, total=False):
    log: list[Any]
    key: Annotated[str, UntrackedValue]


class Kept(TypedDict, total=False):
    given: Any
    log: list[Any]


def keep(state: Kept) -> Kept:
    return {"log": [interrupt("?")]}


KEEPING = StateGraph(Kept).add_node("keep", keep).add_edge(START, "keep").compile()


def give_away(state: Secret) -> Secret:
    return {"log": KEEPING.invoke({"given": {"key": state["key"]}})["log"]}
