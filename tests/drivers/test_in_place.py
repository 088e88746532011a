"""A checkpoint holds what was true when it was taken, whatever nodes change in place later."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream.func import entrypoint, task
from millstream.graph import StateGraph
from millstream.saving.copying import Series, isolated
from millstream.types import Command, Interrupt, Overwrite, Send, interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}
BEHIND = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Items(TypedDict):
    """What the nodes below change in place."""

    items: list[Any]


class Late(InMemorySaver):
    """A saver that stores nothing behind a run before its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def put(self, *args: Any) -> Any:
        if threading.current_thread().name == "millstream-store":
            assert self.gate.wait(20)
        return super().put(*args)

    def put_writes(self, *args: Any) -> None:
        if threading.current_thread().name == "millstream-store":
            assert self.gate.wait(20)
        super().put_writes(*args)

    async def aput(self, *args: Any) -> Any:
        await self._wait()
        return super().put(*args)

    async def aput_writes(self, *args: Any) -> None:
        await self._wait()
        super().put_writes(*args)

    async def _wait(self) -> None:
        if (task := asyncio.current_task()) is not None and "FlushTask" in repr(task):
            while not self.gate.is_set():  # noqa: ASYNC110 - nodes open it in threads
                await asyncio.sleep(0)


def add(state: Items) -> Items:
    """Change the state in place, and return it."""
    state["items"].append(len(state["items"]))
    return state


def lengths(graph: Any) -> list[int]:
    """Return how many items each checkpoint of the thread has, oldest first."""
    history = graph.get_state_history(THREAD)
    return [len(snapshot.values.get("items", ())) for snapshot in history][::-1]


@BEHIND
def test_history_has_what_was_true_at_each_step(driver: Any, durability: Any) -> None:
    saver = Late()

    def last(state: Items) -> Items:
        add(state)
        saver.gate.set()
        return state

    builder = StateGraph(Items).add_sequence([("a", add), ("b", add), ("c", last)])
    graph = builder.add_edge("__start__", "a").compile(checkpointer=saver)
    driver.invoke(graph, {"items": []}, THREAD, durability=durability)

    assert lengths(graph) == ([3] if durability == "exit" else [0, 0, 1, 2, 3])
    for old in list(graph.get_state_history(THREAD)):
        if old.next and "items" in old.values:
            assert driver.invoke(graph, None, old.config)["items"] == [0, 1, 2]


@BEHIND
def test_writes_of_tasks_are_what_they_were_when_the_task_ended(
    driver: Any, durability: Any
) -> None:
    saver = Late()
    is_seen = threading.Event()

    def good(state: Items) -> Items:
        return {"items": [*state["items"], "good"]}

    def bad(state: Any) -> Any:
        assert is_seen.wait(20)
        shown[0]["good"]["items"].append("changed later")
        saver.gate.set()
        raise ValueError("broken")

    shown: list[Any] = []
    builder = StateGraph(Items).add_node(good).add_node(bad)
    graph = builder.set_entry_point("good").set_entry_point("bad").compile(checkpointer=saver)

    def see(item: Any) -> None:
        shown.append(item)
        is_seen.set()

    def read() -> None:
        for item in graph.stream({"items": []}, THREAD, durability=durability):
            see(item)

    async def aread() -> None:
        async for item in graph.astream({"items": []}, THREAD, durability=durability):
            see(item)

    with pytest.raises(ValueError, match="broken"):
        read() if driver.name == "sync" else asyncio.run(aread())

    stored = {task.name: task.result for task in graph.get_state(THREAD).tasks}
    assert stored == {"good": {"items": ["good"]}, "bad": None}


@BEHIND
def test_a_node_that_changes_the_state_and_fails_leaves_the_last_checkpoint(
    driver: Any, durability: Any
) -> None:
    saver = Late()

    def fail(state: Items) -> Items:
        add(state)
        saver.gate.set()
        raise ValueError("broken")

    builder = StateGraph(Items).add_sequence([("a", add), ("fail", fail)])
    graph = builder.add_edge("__start__", "a").compile(checkpointer=saver)
    with pytest.raises(ValueError, match="broken"):
        driver.invoke(graph, {"items": []}, THREAD, durability=durability)

    assert graph.get_state(THREAD).values == {"items": [0]}


@BEHIND
def test_nested_graphs_and_their_callers_do_not_change_each_others_past(
    driver: Any, durability: Any
) -> None:
    saver = Late()

    def ask(state: Items) -> Items:
        add(state)
        saver.gate.set()
        interrupt("go on?")
        return state

    inner = StateGraph(Items).add_sequence([("a", add), ("ask", ask)])
    inner.add_edge("__start__", "a")
    outer = StateGraph(Items).add_sequence([("before", add), ("inner", inner.compile())])
    graph = outer.add_edge("__start__", "before").compile(checkpointer=saver)
    driver.invoke(graph, {"items": []}, THREAD, durability=durability)

    snapshot = graph.get_state(THREAD, subgraphs=True)
    assert snapshot.values == {"items": [0]}
    assert snapshot.tasks[0].state.values == {"items": [0, 1]}
    assert driver.invoke(graph, Command(resume=1), THREAD) == {"items": [0, 1, 2]}


@BEHIND
def test_questions_are_what_they_were_when_they_were_asked(driver: Any, durability: Any) -> None:
    saver = Late()
    asked: list[Any] = ["go on?"]

    def ask(state: Items) -> Items:
        interrupt({"question": asked})
        return state

    def slow(state: Items) -> None:
        assert has_asked.wait(20)
        asked.append("changed later")
        saver.gate.set()

    has_asked = threading.Event()
    builder = StateGraph(Items).add_node(ask).add_node(slow)
    graph = builder.set_entry_point("ask").set_entry_point("slow").compile(checkpointer=saver)

    def read() -> None:
        for _ in graph.stream({"items": []}, THREAD, durability=durability):
            has_asked.set()

    async def aread() -> None:
        async for _ in graph.astream({"items": []}, THREAD, durability=durability):
            has_asked.set()

    read() if driver.name == "sync" else asyncio.run(aread())

    [question] = graph.get_state(THREAD).interrupts
    assert question.value == {"question": ["go on?"]}


@BEHIND
def test_results_of_calls_are_what_they_were_when_the_call_ended(
    driver: Any, durability: Any
) -> None:
    saver = Late()
    calls = []

    @task
    def make() -> list[str]:
        calls.append(1)
        return ["made"]

    @entrypoint(checkpointer=saver)
    def flow(_: Any) -> Any:
        made = make().result()
        made.append("changed later")
        saver.gate.set()
        return [made, interrupt("?")]

    @entrypoint(checkpointer=saver)
    async def aflow(_: Any) -> Any:
        made = await make()
        made.append("changed later")
        saver.gate.set()
        return [made, interrupt("?")]

    graph = flow if driver.name == "sync" else aflow
    driver.invoke(graph, 1, THREAD, durability=durability)
    result = driver.invoke(graph, Command(resume="yes"), THREAD, durability=durability)

    assert result == [["made", "changed later"], "yes"]
    assert len(calls) == 1


class Model(BaseModel):
    """A model that can be changed."""

    tags: list[str] = []


@dataclasses.dataclass
class Plain:
    """A dataclass that can be changed."""

    tags: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """One whose fields cannot be replaced, but whose list can be changed."""

    tags: list[str]


class Pair(NamedTuple):
    """A tuple with names."""

    tags: list[str]


class Own:
    """A class that nothing is known of."""

    def __init__(self, tags: list[str]) -> None:
        self.tags = tags


def _tag(value: Any) -> None:
    value.tags.append("changed")


@pytest.mark.parametrize(
    ("value", "change", "look"),
    [
        ([[1]], lambda v: v[0].append(2), repr),
        ({"a": {"b": [1]}}, lambda v: v["a"]["b"].append(2), repr),
        (([1],), lambda v: v[0].append(2), repr),
        ({1}, lambda v: v.add(2), repr),
        (deque([[1]], maxlen=2), lambda v: v[0].append(2), repr),
        (defaultdict(list, a=[1]), lambda v: v["b"].append(2), repr),
        (OrderedDict(a=[1]), lambda v: v["a"].append(2), repr),
        (Counter("aab"), lambda v: v.update("c"), repr),
        (bytearray(b"x"), lambda v: v.extend(b"y"), repr),
        (AIMessage(["a"]), lambda v: v.content.append("b"), repr),
        (HumanMessage("a", additional_kwargs={"b": []}), lambda v: setattr(v, "id", "1"), repr),
        (AIMessage("a"), lambda v: setattr(v, "rating", 1), repr),
        (Model(), _tag, repr),
        (Plain([]), _tag, repr),
        (Frozen([]), _tag, repr),
        (Pair([]), _tag, repr),
        ([Own([])], lambda v: _tag(v[0]), lambda v: v[0].tags),
        (Send("a", {"b": []}), lambda v: v.arg["b"].append(1), repr),
        (Interrupt([1]), lambda v: v.value.append(2), repr),
        (Overwrite([1]), lambda v: v.value.append(2), repr),
        (Command(update={"a": []}), lambda v: v.update["a"].append(1), repr),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fixed_value_stays_as_it_is(
    value: Any, change: Callable[[Any], object], look: Callable[[Any], Any]
) -> None:
    copy = isolated(value)
    before = str(look(copy))
    assert before == str(look(value))
    assert type(copy) is type(value)

    change(value)

    assert str(look(value)) != before
    assert str(look(copy)) == before


def test_messages_that_have_not_changed_are_used_again() -> None:
    messages = [AIMessage("a", id="1"), AIMessage("b", id="2")]
    earlier = isolated(messages)
    messages[0].content = "changed"

    later = isolated([*messages, AIMessage("c")], earlier)

    assert [message.content for message in later] == ["changed", "b", "c"]
    assert [message.content for message in earlier] == ["a", "b"]
    assert later[1] is earlier[1]


class Several:
    """Values that do not say whether they are equal, as arrays of numpy."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = object.__hash__


class Anything(BaseModel):
    """A model of which nothing is known."""

    value: Any
    tags: list[str] = []


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (Several(), Several())])
def test_models_with_other_values_are_copied_again(before: Any, after: Any) -> None:
    models = [Anything(value=before)]
    earlier = isolated(models)
    models[0].value = after

    (later,) = isolated(models, earlier)
    models[0].tags.append("changed")

    assert type(later.value) is type(after)
    assert later.tags == []


def _grow(messages: list[Any]) -> None:
    messages.append(AIMessage("new", id="new"))


@pytest.mark.parametrize(
    "change",
    [
        _grow,
        lambda v: v.pop(),
        lambda v: v.reverse(),
        lambda v: v.clear(),
        lambda v: v.insert(0, "text"),
        lambda v: v.__setitem__(0, HumanMessage("a", id="1")),
        lambda v: setattr(v[0], "content", "changed"),
        lambda v: v[0].tool_calls.append({"name": "t", "args": {}, "id": "1"}),
        lambda v: v[0].response_metadata.update(model="m"),
        lambda v: v[0].additional_kwargs["deep"]["list"].append(1),
        lambda v: setattr(v[0], "rating", 1),
        lambda v: setattr(v[1], "value", True),
        lambda v: setattr(v[1], "value", 1.0),
        lambda v: v[1].tags.append("changed"),
        lambda v: delattr(v[1], "value"),
    ],
)
def test_a_series_of_copies_misses_no_change_in_a_list_of_models(
    change: Callable[[Any], object],
) -> None:
    first = AIMessage("a", id="1", additional_kwargs={"deep": {"list": []}})
    values: list[Any] = [first, Anything(value=1)]
    series = Series()
    series.add(values)
    before = series.add(values)
    was = repr(before)
    change(values)

    after = series.add(values)

    assert (repr(after), repr(series.add(values))) == (repr(values), repr(values))
    assert repr(before) == was
    assert after is not values


def test_a_series_of_copies_uses_again_what_has_not_changed() -> None:
    messages = [AIMessage("a", id="1"), AIMessage("b", id="2")]
    series = Series()
    earlier = series.add(messages)

    later = series.add([*messages, HumanMessage("c")])

    assert [message.content for message in later] == ["a", "b", "c"]
    assert (later[0], later[1]) == (earlier[0], earlier[1])
    assert later[0] is earlier[0]
    assert later[1] is earlier[1]


def test_what_cannot_be_copied_is_left_as_it_is() -> None:
    lock, knot = threading.Lock(), []
    knot.append(knot)

    assert isolated({"lock": lock})["lock"] is lock
    assert isolated(knot) is not None
