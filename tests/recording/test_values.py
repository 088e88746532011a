"""What a graph emits comes back from a recording as what it was, and runs no code on the way."""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
import pickle
import sys
import traceback
from collections import OrderedDict
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from millstream.errors import GraphRecursionError
from millstream.modes.content_blocks import ErrorEvent
from millstream.modes.subgraph_events import SubgraphEvent
from millstream.recording.values import Decoder, dumps, encode, loads
from millstream.stimuli.values import RecordedError, Unreadable
from millstream.types import Command, Interrupt, Overwrite, Send


@dataclasses.dataclass
class Plan:
    steps: list[str]


class Colour(enum.Enum):
    RED = "red"


class Pair(NamedTuple):
    left: int
    right: int


def again(value: Any, allowed: Any = ()) -> Any:
    """Return what is read from what is written of a value."""
    return Decoder(allowed).decode(loads(encode(value)))


LONG = "x" * 300

MESSAGES = [
    HumanMessage("hi", id="1"),
    HumanMessage([{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": "u"}]),
    SystemMessage("be brief", additional_kwargs={"cache": True}),
    AIMessage(
        "ok",
        tool_calls=[{"name": "f", "args": {"a": (1, 2)}, "id": "c1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "m", "at": datetime(2026, 1, 2, tzinfo=timezone.utc)},
    ),
    AIMessageChunk("o", id="r", tool_call_chunks=[]),
    AIMessageChunk(
        "",
        tool_call_chunks=[
            {"name": "f", "args": '{"a"', "id": "c", "index": 0, "type": "tool_call_chunk"}
        ],
    ),
    AIMessageChunk("", chunk_position="last"),
    ToolMessage("4", tool_call_id="c1", artifact={"rows": [1, 2]}, status="error"),
    FunctionMessage("4", name="f"),
    ChatMessage("x", role="judge"),
    RemoveMessage("1"),
    HumanMessage("hi", of_my_own=3),  # type: ignore[call-arg]  # messages allow that
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_come_back_with_their_classes(message: Any) -> None:
    got = again([message])[0]

    assert got == message
    assert type(got) is type(message)
    assert repr(got) == repr(message)
    assert got.model_dump() == message.model_dump()


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(1 << 63),
        (1 << 64) - 1,
        1 << 64,
        -(1 << 80),
        1.5,
        math.inf,
        -math.inf,
        "",
        "half of a pair: \ud800",
        {"\udfff": "\ud800"},
        b"\x00\xff",
        (),
        (1, (2, [3])),
        [(), {}],
        {"$ref": 1},
        {"$tuple": [1]},
        {"": {"$": 2}},
        {1: "a", (2, 3): "b", None: "c"},
        {1, 2},
        frozenset([1, 2]),
        UUID(int=7),
        Decimal("1.10"),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        Document("text", metadata={"page": 3}),
        Send("node", {"a": (1,)}),
        Command(update={"a": HumanMessage("hi", id="1")}, goto=["x", Send("y", 1)], resume=3),
        Overwrite([1]),
        Interrupt("how many?", "id"),
        Interrupt({"q": (1,)}, "id", response_schema={"type": "integer"}),
    ],
    ids=lambda value: repr(value)[:30].encode("ascii", "replace").decode(),
)
def test_values_come_back_as_they_were(value: Any) -> None:
    got = again({"value": value})["value"]

    assert got == value
    assert type(got) is type(value)


def test_a_number_with_more_digits_than_python_prints_comes_back() -> None:
    assert again(1 << 20_000) == 1 << 20_000


def test_not_a_number_comes_back() -> None:
    assert math.isnan(again([math.nan])[0])


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["$", "$ref"]), inner, max_size=4)
        | st.dictionaries(st.integers() | st.tuples(st.booleans()), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(lambda content, id: HumanMessage(content, id=id), st.text(), st.text())
    ),
    max_leaves=12,
)


@settings(max_examples=50)
@given(plain)
def test_any_nesting_of_values_comes_back(value: Any) -> None:
    got = again(value)

    assert got == value
    assert repr(got) == repr(value)


def test_what_is_in_one_line_stays_in_one_line() -> None:
    assert b"\n" not in encode({"text": "a\nb\r\u2028", 1: "\n", "m": HumanMessage("x\ny")})


def test_errors_come_back_as_themselves_where_they_are_known() -> None:
    class Own(Exception):
        pass

    errors = [KeyError("x"), OSError(2, "no such file"), GraphRecursionError("25"), Own("mine")]

    got = [again(error) for error in errors]

    assert [repr(error) for error in got[:3]] == [repr(error) for error in errors[:3]]
    assert [type(error) for error in got[:3]] == [KeyError, FileNotFoundError, GraphRecursionError]
    assert isinstance(got[3], RecordedError)
    assert repr(got[3]) == "Own('mine')"


class Torn(Exception):
    """An error that wants other arguments than it keeps."""

    def __init__(self, *, sack: int) -> None:
        super().__init__("torn", sack)
        self.sack = sack

    def __str__(self) -> str:
        return f"sack {self.sack} is torn"


def test_other_errors_are_called_as_they_were() -> None:
    torn = Torn(sack=3)

    got: Any = again(torn)

    assert isinstance(got, RecordedError)
    assert traceback.format_exception_only(got) == traceback.format_exception_only(torn)
    assert got.args == ("torn", 3)
    for copied in (copy.copy(got), pickle.loads(pickle.dumps(got))):
        assert traceback.format_exception_only(copied) == traceback.format_exception_only(torn)


def test_known_errors_of_which_not_everything_is_kept_are_caught_as_themselves() -> None:
    errors = [FileNotFoundError(2, "no such file", "mill.txt"), ValueError([1]), KeyError((1, 2))]

    got: Any = [again(error) for error in errors]

    assert [str(error) for error in got] == [str(error) for error in errors]
    for error, was in zip(got, errors, strict=True):
        assert isinstance(error, (type(was), RecordedError))
        assert type(error).__name__ == type(was).__name__


def test_errors_that_are_shown_by_their_parts_have_their_text() -> None:
    errors = [
        SyntaxError("no", ("mill.py", 1, 2, "x")),
        UnicodeDecodeError("ascii", b"x", 0, 1, "y"),
    ]

    got: Any = [again(error) for error in errors]

    assert [str(error) for error in got] == [str(error) for error in errors]
    assert [type(error).__name__ for error in got] == ["SyntaxError", "UnicodeDecodeError"]


def test_events_that_know_an_error_keep_it() -> None:
    got = again(ErrorEvent(ValueError("no")))

    assert got == {"event": "error", "message": "no"}
    assert repr(got.error) == "ValueError('no')"


def test_events_of_nested_graphs_come_back() -> None:
    cause: Any = {"type": "toolCall", "tool_call_id": "c"}
    event = SubgraphEvent("started", ("a:1",), (), "a", "1", cause)

    assert again(event) == event


def test_classes_come_back_if_they_are_allowed() -> None:
    plan, colour = Plan(["a"]), Colour.RED

    refused = again([plan, colour])
    made = again([plan, colour], [(__name__, "Plan"), (__name__, "Colour")])

    assert [type(each) for each in refused] == [Unreadable, Unreadable]
    assert [each.text for each in refused] == ["Plan(steps=['a'])", "<Colour.RED: 'red'>"]
    # The name of a test's module is not that of the file.
    if __name__ in sys.modules:
        assert made == [plan, colour]


def test_containers_of_classes_of_their_own_come_back_as_what_they_are_derived_from() -> None:
    class Text(str):
        pass

    class Count(int):
        pass

    class Items(list):  # type: ignore[type-arg]
        pass

    got = again([OrderedDict(a=1), Text("t"), Count(3), Items([1])])

    assert got == [{"a": 1}, "t", 3, [1]]
    assert [type(each) for each in got] == [dict, str, int, list]


def test_what_cannot_be_stored_leaves_its_text() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = 1
    for _ in range(500):
        deep = [deep]

    got = again({"lambda": lambda: 0, "broken": Broken(), "cycle": cycle})

    assert [type(each) for each in got.values()] == [Unreadable, Unreadable, list]
    assert type(got["cycle"][0]) is Unreadable
    assert again({"deep": deep, "fine": 1})["fine"] == 1


HOSTILE = [
    {"$stored": ["pickle", "gASVCQAAAAAAAACMBXBvc2l4lC4="], "text": "x", "class": "y"},
    {"$stored": ["json", "e30="], "text": "x", "class": "y"},
    {"$message": "BaseMessage"},
    {"$message": "os.system", "content": "true"},
    {"$error": {"class": "builtins.SystemExit", "text": "x", "args": [1]}},
    {"$error": {"class": "os.system", "text": "x", "args": ["true"]}},
    {"$error": {"class": "builtins.eval", "text": "x", "args": ["1"]}},
    {"$error": {"class": "builtins.ExceptionGroup", "text": "x", "args": ["1"]}},
    {"$error": {"class": "a.B", "text": ["x"]}},
    {"$error": {"class": "a.\ud800", "text": "x"}},
    {"$error": {"class": ["a"], "text": "x"}},
    {"$eval": "1"},
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: dumps(data).decode()[:40])
def test_hostile_objects_are_refused_or_stand_for_no_more_than_a_text(data: Any) -> None:
    try:
        got = Decoder().decode(orjson.loads(dumps(data)))
    except Exception as error:
        assert not isinstance(error, (AssertionError, SystemExit))  # noqa: PT017
    else:
        assert isinstance(got, (Unreadable, RecordedError))
