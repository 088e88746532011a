"""Values of untracked channels never reach a saver, whichever way they take."""

from __future__ import annotations

import dataclasses
import operator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream.channels.untracked_value import UntrackedValue
from millstream.graph import END, START, StateGraph
from millstream.types import Command, Send, interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}
SECRET = "the secret"
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Client:
    """Something that cannot be stored."""

    def __repr__(self) -> str:
        return f"Client({SECRET!r})"


class State(TypedDict, total=False):
    """A log, a text and an object that are not to be stored."""

    log: Annotated[list[Any], operator.add]
    key: Annotated[str, UntrackedValue]
    client: Annotated[Any, UntrackedValue(object)]


def given() -> Any:
    """Return an input with both."""
    return {"log": [], "key": SECRET, "client": Client()}


def see(state: Any) -> dict[str, Any]:
    """Log what of the state is there."""
    return {"log": [sorted(state)]}


def stored(saver: InMemorySaver) -> bytes:
    """Return all bytes that the saver holds."""
    parts = [blob[1] for blob in saver.blobs.values()]
    parts += [write[2][1] for writes in saver.writes.values() for write in writes.values()]
    for spaces in saver.storage.values():
        for checkpoints in spaces.values():
            parts += [part[1] for saved in checkpoints.values() for part in saved[:2]]
    return b"".join(parts)


def check(saver: InMemorySaver) -> None:
    """Fail if there is anything of the secret."""
    assert saver.storage
    assert SECRET.encode() not in stored(saver)


@DURABILITIES
@pytest.mark.parametrize("is_failing", [False, True])
@pytest.mark.parametrize(
    "arg",
    [
        lambda state: state,
        lambda state: {"inner": {"states": [state, (state,)]}, **state},
    ],
    ids=["state", "nested"],
)
def test_what_is_sent(driver: Any, durability: Any, is_failing: bool, arg: Any) -> None:
    tries = []

    def start(state: Any) -> Any:
        update = {"log": [1], "key": SECRET + "!", "client": state["client"]}
        return Command(goto=[Send("tool", arg(state)), Send("other", state)], update=update)

    def other(state: Any) -> Any:
        tries.append(1)
        if is_failing and len(tries) == 1:
            raise ValueError(state["key"])
        return see(state)

    saver = InMemorySaver()
    builder = StateGraph(State).add_node(start).add_node("tool", see).add_node(other)
    graph = builder.add_edge(START, "start").compile(checkpointer=saver)

    if is_failing:
        with pytest.raises(ValueError, match=SECRET):
            driver.invoke(graph, given(), THREAD, durability=durability)
        result = driver.invoke(graph, None, THREAD)
        assert result["log"][-1] == ["log"]
    else:
        result = driver.invoke(graph, given(), THREAD, durability=durability)
        assert result["log"][-1] == ["client", "key", "log"]
        assert result["key"] == SECRET + "!"

    check(saver)
    assert tries == [1] * (1 + is_failing)


@DURABILITIES
def test_what_is_sent_of_a_state_that_is_an_object(driver: Any, durability: Any) -> None:
    @dataclasses.dataclass
    class Plain:
        log: Annotated[list[Any], operator.add]
        key: Annotated[str | None, UntrackedValue] = None

    class Model(BaseModel):
        log: Annotated[list[Any], operator.add]
        key: Annotated[str, UntrackedValue]

    def start(state: Any) -> Any:
        return Command(goto=Send("tool", state))

    def tool(state: Any) -> Any:
        seen.append(state.key)
        return {"log": ["done"]}

    seen: list[str] = []

    for schema in (Plain, Model):
        saver = InMemorySaver()
        builder = StateGraph(schema).add_node(start).add_node(tool)
        graph = builder.add_edge(START, "start").compile(checkpointer=saver)

        driver.invoke(graph, schema(log=[], key=SECRET), THREAD, durability=durability)

        check(saver)
    assert seen == [SECRET, SECRET]


@DURABILITIES
def test_what_is_given_to_a_nested_graph(driver: Any, durability: Any) -> None:
    class Inner(TypedDict, total=False):
        """Keeps the parent's key like any other."""

        log: list[Any]
        key: str
        states: Any

    def ask(state: Any) -> Any:
        answer = interrupt({"of": state})
        return {"log": [answer, state.get("key")], "states": [state]}

    inner = StateGraph(Inner).add_node("see", lambda state: state).add_node(ask)
    inner.add_edge(START, "see").add_edge("see", "ask")
    saver = InMemorySaver()
    builder = StateGraph(State).add_node("inner", inner.compile())
    graph = builder.add_edge(START, "inner").compile(checkpointer=saver)
    config = {**THREAD, "metadata": {"key": SECRET}}

    driver.invoke(graph, given(), config, durability=durability)
    check(saver)
    result = driver.invoke(graph, Command(resume="yes"), THREAD, durability=durability)

    assert result["log"] == ["yes", None]
    check(saver)


@DURABILITIES
def test_what_a_task_wrote_whose_sibling_fails(driver: Any, durability: Any) -> None:
    def good(state: Any) -> Any:
        return given()

    def bad(state: Any) -> Any:
        raise KeyError(state["client"])

    saver = InMemorySaver()
    builder = StateGraph(State).add_node(good).add_node(bad).add_edge(START, "good")
    graph = builder.add_edge(START, "bad").compile(checkpointer=saver)

    with pytest.raises(KeyError):
        driver.invoke(graph, given(), THREAD, durability=durability)

    check(saver)
    errors = [task.error for task in graph.get_state(THREAD).tasks if task.name == "bad"]
    assert errors == ["KeyError(<client>)"]


def test_what_is_given_to_update_state(driver: Any) -> None:
    def route(state: Any) -> Any:
        return Send("see", state)

    saver = InMemorySaver()
    builder = StateGraph(State).add_node("a", see).add_node("see", see).add_edge(START, "a")
    builder.add_conditional_edges("a", route, ["see"]).add_edge("see", END)
    graph = builder.compile(checkpointer=saver, interrupt_after=["a"])
    driver.invoke(graph, given(), THREAD)

    graph.update_state(THREAD, given(), as_node="a")
    graph.update_state(THREAD, given(), as_node="__input__")
    driver.invoke(graph, Command(update=given(), goto="a"), THREAD)

    check(saver)


def fresh() -> str:
    """Return a text that nobody else has."""
    return "".join(SECRET)


@DURABILITIES
@pytest.mark.parametrize("made", [fresh, lambda: [SECRET], lambda: {"a": SECRET}, Client])
@pytest.mark.parametrize(
    "put",
    [
        lambda value: value,
        lambda value: [1, value],
        lambda value: {"other": {"deep": (1, value)}},
        lambda value: [{"inner": [value]}],
    ],
    ids=["itself", "list", "tuple", "deep"],
)
def test_what_is_put_under_another_name(driver: Any, durability: Any, made: Any, put: Any) -> None:
    """Wherever the object goes: a key, the input, a question, a Send, into a nested graph."""

    class Both(TypedDict, total=False):
        key: Annotated[Any, UntrackedValue]
        other: Any
        rest: Any

    def write(state: Any) -> Any:
        seen.append(state["other"])
        return {"other": put(state["key"])}

    def read(state: Any) -> Any:
        seen.append(state["other"])
        return Command(goto=Send("ask", {"other": put(state["key"])}))

    def ask(state: Any) -> Any:
        return {"rest": interrupt(state["other"]) if "other" in state else "gone"}

    seen: list[Any] = []
    inner = StateGraph(Both).add_node(write).add_node(read, destinations=("ask",)).add_node(ask)
    inner.add_edge(START, "write").add_edge("write", "read")
    saver = InMemorySaver()
    builder = StateGraph(Both).add_node("inner", inner.compile()).add_edge(START, "inner")
    graph = builder.compile(checkpointer=saver)
    value = made()

    driver.invoke(graph, {"key": value, "other": put(value)}, THREAD, durability=durability)
    check(saver)
    result = driver.invoke(graph, Command(resume=3), THREAD, durability=durability)

    assert seen == [put(value), put(value)]
    assert result["rest"] in (3, "gone")
    check(saver)


def test_other_values_under_such_a_name_are_kept(driver: Any) -> None:
    """And equal ones under another, and what there is but one of."""

    class Named(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]
        key: Annotated[Any, UntrackedValue]

    secret = fresh()
    for key in (secret, "production", True, 7, None, (), Named):
        saver = InMemorySaver()
        kept = [{"key": "another"}, fresh(), "production", True, 7, None, []]
        builder = StateGraph(Named).add_node("a", lambda state, kept=kept: {"log": kept})
        graph = builder.add_edge(START, "a").compile(checkpointer=saver)

        driver.invoke(graph, {"log": [], "key": key}, THREAD)

        assert graph.get_state(THREAD).values == {"log": kept}


def test_a_key_that_is_not_stored_is_named(driver: Any, caplog: Any) -> None:
    class Named(TypedDict, total=False):
        key: Annotated[Any, UntrackedValue]
        other: Any

    builder = StateGraph(Named).add_node("a", lambda state: {"other": state["key"]})
    graph = builder.add_edge(START, "a").compile(checkpointer=InMemorySaver())

    assert driver.invoke(graph, {"key": fresh()}, THREAD)["other"] == SECRET

    assert "State key 'other' holds the value of an untracked key" in caplog.text
    assert graph.get_state(THREAD).values == {}
