"""What type checkers say about nodes and paths; checked, never run.

Lines that must be refused carry the comments by which each checker is told to expect an error; one
that reports none there fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.store.base import BaseStore
from pydantic import BaseModel
from typing_extensions import TypedDict, assert_type

from millstream.graph import END, START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.runtime import Runtime
from millstream.types import Command, Send, StreamWriter


class State(TypedDict):
    x: int


class Private(TypedDict):
    y: str


@dataclass
class Context:
    user: str


class Model(BaseModel):
    x: int


def plain(state: State) -> State:
    return state


def other_name(s: State) -> dict[str, Any]:
    return {"x": s["x"]}


async def with_all(
    state: State,
    config: RunnableConfig,
    *,
    writer: StreamWriter,
    store: BaseStore,
    runtime: Runtime[Context],
) -> dict[str, Any]:
    return {"x": 1}


def with_writer_and_runtime(state: State, writer: StreamWriter, runtime: Runtime[Context]) -> None:
    writer(runtime.context.user)


def with_optional(state: State, config: RunnableConfig | None = None, flag: bool = True) -> State:
    return state


def of_dict(state: dict[str, Any]) -> dict[str, Any]:
    return state


def of_item(item: str) -> Command[Literal["plain"]]:
    return Command(goto="plain")


def private(state: Private) -> dict[str, Any]:
    return {"x": len(state["y"])}


def of_model(state: Model) -> dict[str, Any]:
    return {"x": state.x}


def without_state() -> None: ...


def with_unknown(state: State, model: str) -> State:
    return state


def with_wrong_context(state: State, runtime: Runtime[Model]) -> State:
    return state


class Agent:
    def __call__(self, state: State, config: RunnableConfig) -> State:
        return state

    async def step(self, state: State, *, store: BaseStore) -> State:
        return state


def wrapped(func: Callable[[State], State]) -> Callable[[State], State]:
    return func


def check_nodes(child: Runnable[State, State], mixed: Sequence[Any]) -> None:
    builder = StateGraph(State, Context)
    builder.add_node(plain).add_node("other", other_name, defer=True)
    builder.add_node("all", with_all, metadata={"a": 1}, timeout=3)
    builder.add_node("writer", with_writer_and_runtime)
    builder.add_node("optional", with_optional)
    builder.add_node("dict", of_dict)
    builder.add_node("item", of_item, destinations=("plain",))
    builder.add_node("private", private)
    builder.add_node("private too", private, input_schema=Private)
    builder.add_node("model", of_model, input_schema=Model)
    builder.add_node("lambda", lambda state: {"x": state["x"] + 1})
    builder.add_node("private lambda", lambda state: {"x": len(state["y"])}, input_schema=Private)
    builder.add_node("partial", partial(with_unknown, model="m"))
    builder.add_node("agent", Agent()).add_node("step", Agent().step)
    builder.add_node("wrapped", wrapped(plain)).add_node("child", child)
    builder.add_node("runnable", RunnableLambda(plain)).add_node("tools", ToolNode([]))
    builder.add_node("graph", StateGraph(State).add_node(plain).compile())
    builder.add_node("several", {"x": plain, "y": RunnableLambda(plain)})
    builder.add_node("handled", plain, error_handler=other_name)
    builder.add_sequence([plain, ("second", of_dict), Agent()])
    assert_type(builder, StateGraph[State, Context, State, State])


def check_refused_nodes() -> None:
    builder = StateGraph(State, Context)
    builder.add_node("one", 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("two")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("three", without_state)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("four", with_unknown)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("five", with_wrong_context)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("six", private, input_schema=Model)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("seven", plain, retries=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    builder.add_node("eight", plain, defer="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_sequence([plain, 1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def named(state: State) -> Literal["a", "b"]:
    return "a"


def sends(state: State) -> list[Send]:
    return [Send("item", "text")]


async def later(state: State, runtime: Runtime[Context]) -> str | list[str]:
    return END


def yes(state: State) -> bool:
    return True


def check_paths(known: dict[str, str], targets: dict[bool, str]) -> None:
    builder = StateGraph(MessagesState)
    builder.add_conditional_edges(START, named, known)
    builder.add_conditional_edges("a", sends, ["item"])
    builder.add_conditional_edges("b", later)
    builder.add_conditional_edges("c", yes, targets).add_conditional_edges("d", yes, {True: END})
    builder.add_conditional_edges("e", lambda state: "a" if state["messages"] else END)
    builder.add_conditional_edges("f", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    builder.add_conditional_edges("g", yes, {True: 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
