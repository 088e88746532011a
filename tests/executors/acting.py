"""Nodes that worker processes can find."""

from __future__ import annotations

import asyncio
import functools
import operator
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.errors import NodeError, NodeInterrupt
from millstream.func import task
from millstream.graph import END, START, StateGraph
from millstream.graph.message import push_message
from millstream.runtime import Runtime
from millstream.types import Command, Send, StreamWriter, interrupt


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    file: str
    count: int


@dataclass
class Context:
    user: str


def graph_of(
    *nodes: Callable[..., Any], executor: Any = None, saver: Any = None, **options: Any
) -> Any:
    """Return a graph of these nodes, one after the other."""
    builder = StateGraph(State, Context)
    names = [f"n{index}" for index in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        builder.add_node(name, node, executor=executor, **options)
    for start, end in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(start, end)
    return builder.compile(saver, store=options.get("store"))


def mark(state: State, text: str) -> None:
    """Leave a trace that another process can read."""
    with Path(state["file"]).open("a") as file:
        file.write(f"{text}\n")


def log(state: State) -> State:
    return {"log": ["logged"]}


async def alog(state: State) -> State:
    await asyncio.sleep(0)
    return {"log": ["logged"]}


def where(state: State) -> State:
    return {"log": [os.getpid()]}


def write(state: State, writer: StreamWriter) -> State:
    for index in range(50):
        writer(index)
        get_stream_writer()({"again": index})
    return {"log": ["wrote"]}


async def awrite(state: State, writer: StreamWriter) -> State:
    for index in range(50):
        writer(index)
        await asyncio.sleep(0)
    return {"log": ["wrote"]}


def model() -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage("one two three", id="m1")]))


def talk(state: State) -> State:
    return {"log": [model().invoke("hi")]}


async def atalk(state: State) -> State:
    return {"log": [await model().ainvoke("hi")]}


@tool
def weigh(sacks: int) -> str:
    """Weigh sacks."""
    return f"{sacks * 50} kg"


def use_tool(state: State) -> State:
    call = {"name": "weigh", "args": {"sacks": 2}, "id": "c1", "type": "tool_call"}
    return {"log": [weigh.invoke(call).content]}


def push(state: State) -> State:
    push_message(AIMessage("pushed", id="p1"), state_key=None)
    return {"log": ["pushed"]}


def ask(state: State) -> State:
    return {"log": [interrupt("first"), interrupt("second")]}


async def aask(state: State) -> State:
    return {"log": [interrupt("first"), interrupt("second")]}


def ask_number(state: State) -> State:
    return {"log": [interrupt("how many", response_schema=int)]}


def ask_one(state: State) -> State:
    return {"log": [(state["count"], interrupt(state["count"]))]}


def go(state: State) -> Command[Any]:
    return Command(update={"log": ["go"]}, goto=[Send("one", {"count": 1}), "two"])


def one(state: State) -> State:
    return {"log": [("one", state["count"])]}


def two(state: State) -> State:
    return {"log": ["two"]}


def leave(state: State) -> Command[Any]:
    return Command(graph=Command.PARENT, update={"log": ["left"]}, goto="two")


class Broken(Exception):
    """An error of a program's own."""

    def __init__(self, part: str, *, count: int) -> None:
        super().__init__(f"{part} broke {count} times")
        self.part, self.count = part, count

    def __reduce__(self) -> Any:
        return _broken, (self.part, self.count)


def _broken(part: str, count: int) -> Broken:
    return Broken(part, count=count)


class Unreadable(Exception):
    """An error that can be pickled and not be read."""

    def __init__(self, part: str, *, count: int) -> None:
        super().__init__(f"{part} broke {count} times")


def fail(state: State) -> State:
    raise Broken("wheel", count=2)


def fail_unreadably(state: State) -> State:
    raise Unreadable("wheel", count=2)


def fail_twice(state: State, runtime: Runtime) -> State:
    assert runtime.execution_info is not None
    attempt = runtime.execution_info.node_attempt
    runtime.stream_writer(attempt)
    if attempt < 3:
        raise ConnectionError("not yet")
    return {"log": [attempt]}


def handle(state: State, error: NodeError, writer: StreamWriter) -> State:
    writer(error.node)
    return {"log": [(error.node, type(error.error).__name__, str(error.error))]}


def see(state: State, config: RunnableConfig, runtime: Runtime[Context]) -> State:
    info = runtime.execution_info
    assert info is not None
    return {
        "log": [
            runtime.context.user,
            config["configurable"]["thread_id"],
            config["metadata"]["langgraph_node"],
            config["metadata"]["mine"],
            sorted(config["tags"]),
            info.thread_id,
            info.node_attempt,
            info.checkpoint_ns == info.task_id.join(("n0:", "")),
        ]
    }


def remember(state: State, store: BaseStore) -> State:
    store.put(("mill",), "sacks", {"count": 3})
    found = store.get(("mill",), "sacks")
    assert found is not None
    return {"log": [found.value, [item.key for item in store.search(("mill",))]]}


async def aremember(state: State, store: BaseStore) -> State:
    await store.aput(("mill",), "sacks", {"count": 3})
    found = await store.aget(("mill",), "sacks")
    assert found is not None
    return {"log": [found.value, [item.key for item in await store.asearch(("mill",))]]}


def drain(state: State, runtime: Runtime) -> State:
    assert runtime.control is not None
    runtime.control.request_drain("enough")
    return {"log": ["drained"]}


async def sleep_long(state: State) -> State:
    try:
        mark(state, "began")
        await asyncio.sleep(60)
    finally:
        mark(state, "stopped")
    return {"log": ["slept"]}


async def beat(state: State, runtime: Runtime) -> State:
    for _ in range(8):
        await asyncio.sleep(0.1)
        runtime.heartbeat()
    return {"log": ["beat"]}


def emit_long(state: State, writer: StreamWriter) -> State:
    try:
        for index in range(6000):
            writer(index)
            time.sleep(0.01)
    finally:
        mark(state, "stopped")
    return {"log": ["emitted"]}


def ignore_all(state: State, writer: StreamWriter) -> State:
    writer(os.getpid())
    time.sleep(60)
    return {"log": ["ignored"]}


def die(state: State) -> State:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def die_once(state: State, runtime: Runtime) -> State:
    assert runtime.execution_info is not None
    if runtime.execution_info.node_attempt == 1:
        os._exit(3)
    return {"log": [runtime.execution_info.node_attempt]}


def leave_program(state: State) -> State:
    raise SystemExit(4)


def stop_iteration(state: State) -> State:
    raise StopIteration("enough")


def return_lambda(state: State) -> State:
    return {"log": [lambda: 1]}


def write_lambda(state: State, writer: StreamWriter) -> State:
    writer({"how": lambda: 1})
    return {}


@task
def double(number: int) -> int:
    return 2 * number


def call_task(state: State) -> State:
    return {"log": [double(1).result()]}


def inner(state: State) -> State:
    get_stream_writer()("inside")
    return {"log": ["inner"]}


INNER = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()
ASKING = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()


def call_graph(state: State) -> State:
    return {"log": INNER.invoke({"log": []})["log"]}


def call_asking_graph(state: State) -> State:
    return {"log": ASKING.invoke({"log": []})["log"]}


class Holder:
    """A node with something that no other process can have."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self, state: State) -> State:
        return {"log": [str(self.held)]}


@tool
def confirm(question: str) -> str:
    """Ask a person."""
    return f"{question} {interrupt(question)}"


@tool
async def aconfirm(question: str) -> str:
    """Ask a person."""
    return f"{question} {interrupt(question)}"


def noted(func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function, so that its name is that of another."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        return {"log": ["noted", *result["log"]]}

    return wrapper


@noted
def decorated(state: State) -> State:
    return {"log": ["decorated"]}


def interrupt_the_old_way(state: State) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raise NodeInterrupt("old")


def count_up(state: State, writer: StreamWriter) -> State:
    for index in range(200):
        writer(index)
    return {}


def outlive(state: State, writer: StreamWriter) -> State:
    """Leave a thread behind that emits when the next task of its process does."""

    def emit() -> None:
        GO_ON.wait()
        try:
            writer("late")
        except BaseException as error:
            LATE.append(type(error).__name__)
        else:
            LATE.append("heard")

    LATE.clear()
    GO_ON.clear()
    left = threading.Thread(target=emit)
    left.start()
    LEFT.append(left)
    return {"log": ["left"]}


def look_back(state: State, writer: StreamWriter) -> State:
    GO_ON.set()
    LEFT.pop().join()
    writer("mine")
    return {"log": list(LATE)}


GO_ON = threading.Event()
LEFT: list[threading.Thread] = []
LATE: list[str] = []
