"""Containers that serializers take for plain ones come back as what they are."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import StateGraph as LangGraphStateGraph
from pydantic import BaseModel, ConfigDict, field_serializer
from typing_extensions import TypedDict

from differential.kit import wire
from millstream.errors import UnstorableValueError
from millstream.graph import START, StateGraph
from millstream.saving.containers import is_special
from millstream.types import Command, Send, interrupt
from millstream.wire import WireSerializer
from savers.backends import SyncRuns, new_thread


@dataclasses.dataclass
class Box:
    """Holds anything."""

    content: Any


class Mood(enum.Enum):
    """A plain enum."""

    GOOD = "good"


class Level(enum.IntEnum):
    """An enum that is a number."""

    HIGH = 1


class Note(BaseModel):
    """Declares what it holds."""

    text: str = ""


class Longer(Note):
    """More than a field of its base class says."""

    more: str = ""


class Open(BaseModel):
    """Holds anything."""

    model_config = ConfigDict(extra="allow")
    content: Any = None
    notes: list[Any] = []
    note: Note | None = None


class Own(BaseModel):
    """Says itself how its field is stored."""

    content: Any = None

    @field_serializer("content")
    def told(self, content: Any) -> str:
        """Return the text that is stored."""
        return f"told {content.text}"


DAY = datetime.date(2026, 1, 2)
KEY = uuid.UUID(int=1)
VALUES = [
    {Mood.GOOD: 1, "b": 2},
    {Level.HIGH: 1},
    {DAY: [1], KEY: {Mood.GOOD: [Counter("a")]}},
    {(Mood.GOOD, 1): 2},
    Counter([Mood.GOOD]),
    OrderedDict({Mood.GOOD: 1}),
    defaultdict(list, {Mood.GOOD: [1]}),
    {(1, 2), 3},
    [{((1, 2), frozenset([(3,)])): "a"}, {frozenset([(1, 2)])}],
    Open(content=Note(text="a")),
    Open(content={"deep": [Note(text="a"), Box(Note())]}),
    Open(notes=[Note(text="a"), Mood.GOOD, HumanMessage("hi", id="1")]),
    Open(note=Longer(text="a", more="b")),
    Open(content={Mood.GOOD: {(1, 2)}}),
    Open(content=Counter("a"), other=Note(text="b")),
    Box(Open(content=Open(content=Note()))),
    ToolMessage("hi", tool_call_id="1", id="2", artifact=Note(text="a")),
    AIMessage("hi", id="1", additional_kwargs={"parsed": Note(text="a")}),
]
"""What would come back as something plainer."""


def forms(value: Any) -> Any:
    """Return a text of the value with the classes of all its parts, whatever their order."""
    if isinstance(value, dict):
        parts: Any = sorted((forms(k), forms(v)) for k, v in value.items())
    elif isinstance(value, (set, frozenset)):
        parts = sorted(map(forms, value))
    elif isinstance(value, (list, tuple)):
        parts = list(map(forms, value))
    else:
        parts = repr(value)
    return f"{type(value).__name__}({parts})"


class State(TypedDict, total=False):
    """One of each."""

    counts: Any
    recent: Any
    others: Any


def given() -> Any:
    """Return a state with one of each."""
    return {
        "counts": Counter("aab"),
        "recent": deque([1, 2], maxlen=3),
        "others": [{"by": defaultdict(list, a=[1])}, Box(OrderedDict(b=1, a=2))],
    }


def kinds(state: Any) -> list[Any]:
    """Return what there is to be kept."""
    others = state["others"]
    return [
        type(state["counts"]),
        state["recent"].maxlen,
        others[0]["by"].default_factory,
        type(others[1].content),
    ]


KEPT = [Counter, 3, list, OrderedDict]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("place", ["input", "node"])
def test_what_they_are_is_kept(runs: SyncRuns, durability: str, place: str) -> None:
    def ask(state: Any) -> Any:
        seen.append(kinds(state))
        interrupt("?")
        return {}

    def write(state: Any) -> Any:
        return given() if place == "node" else {}

    seen: list[Any] = []
    graph = wire(runs.engine, State, "START write ask END", write=write, ask=ask).compile(
        checkpointer=runs.saver
    )
    thread = new_thread()

    runs.invoke(
        graph, given() if place == "input" else {"counts": 1}, thread, durability=durability
    )
    assert runs.get_state(graph, thread).values == given()
    result = runs.invoke(graph, runs.engine.types.Command(resume=1), thread, durability=durability)

    assert seen == [KEPT, KEPT]
    assert kinds(result) == KEPT
    assert kinds(runs.get_state(graph, thread).values) == KEPT
    runs.update_state(graph, thread, {"counts": Counter("c")}, as_node="write")
    assert kinds(runs.get_state(graph, thread).values) == KEPT
    assert runs.get_state(graph, thread).values["counts"] == Counter("c")


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
def test_no_value_changes_in_silence(runs: SyncRuns, value: Any) -> None:
    """In a checkpoint, next to one, and with something of the library beside it."""

    def ask(state: Any) -> Any:
        seen.append(forms(state["counts"]))
        return {"recent": interrupt({"about": value})}

    def write(state: Any) -> Any:
        return {"counts": value, "others": [runs.engine.types.Send("ask", value)]}

    seen: list[str] = []
    graph = wire(runs.engine, State, "START write ask END", write=write, ask=ask).compile(
        checkpointer=runs.saver
    )
    thread = new_thread()
    runs.invoke(graph, {"recent": value}, thread)

    waiting = runs.get_state(graph, thread)
    assert forms(waiting.values["counts"]) == forms(value)
    assert forms(waiting.values["recent"]) == forms(value)
    assert forms(waiting.values["others"][0].arg) == forms(value)
    assert forms(waiting.interrupts[0].value["about"]) == forms(value)
    result = runs.invoke(graph, runs.engine.types.Command(resume=value), thread)
    assert seen == [forms(value)] * 2
    assert forms(result["recent"]) == forms(value)


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
def test_langgraph_reads_what_is_plainer_elsewhere(value: Any) -> None:
    serializer = WireSerializer(JsonPlusSerializer())
    serializer.keeps_containers = True

    read = JsonPlusSerializer().loads_typed(serializer.dumps_typed({"a": value}))

    assert forms(read["a"]) == forms(value)


def test_a_model_that_says_how_a_field_is_stored_is_asked() -> None:
    assert not is_special(Own(content=Note(text="a")))


# The collector would finalize what other tests left where the stack has no room.
@pytest.mark.usefixtures("no_collector")
def test_a_value_that_holds_itself_is_refused_by_name(runs: SyncRuns) -> None:
    ring = Open()
    ring.content = [ring]
    graph = wire(runs.engine, State, "START write END", write=lambda state: {"counts": ring})

    with pytest.raises(UnstorableValueError, match="'counts'"):
        runs.invoke(graph.compile(checkpointer=runs.saver), {"recent": 1}, new_thread())


def test_langgraph_reads_them() -> None:
    saver = InMemorySaver()
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph = StateGraph(State).add_node("a", lambda state: given()).add_edge(START, "a")
    graph.compile(checkpointer=saver).invoke({}, thread)

    builder = LangGraphStateGraph(State).add_node("a", lambda state: given())
    there = builder.add_edge(START, "a").compile(checkpointer=saver)

    assert there.get_state(thread).values == given()
    assert kinds(there.get_state(thread).values) == KEPT


def test_a_strict_serializer_reads_plain_containers() -> None:
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    serializer = WireSerializer(strict)
    serializer.keeps_containers = True

    read = strict.loads_typed(serializer.dumps_typed({**given(), "others": given()["others"][:1]}))

    assert read == {
        "counts": {"a": 2, "b": 1},
        "recent": deque([1, 2]),
        "others": [{"by": {"a": [1]}}],
    }
    assert read["recent"].maxlen == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, False),
        ([1, {"a": ("b",)}], False),
        (deque([1]), False),
        (Send("a", Counter()), True),
        (Command(update={"a": [Counter()]}), True),
        ([{"a": ({}, OrderedDict())}], True),
    ],
)
def test_they_are_found(value: Any, expected: bool) -> None:
    looked: Callable[[Any], bool] = is_special
    assert looked(value) is expected
