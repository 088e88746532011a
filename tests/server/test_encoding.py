"""Anything that a graph says can be sent."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import re
import uuid
from collections import OrderedDict, deque
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from pydantic import BaseModel

from millstream.server.encoding import dumps, error_of
from millstream.types import Interrupt


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    name: str
    inner: Any = None


@dataclasses.dataclass
class Data:
    a: int
    b: Any


class Unshowable:
    def __str__(self) -> str:
        raise ValueError("no")


class Broken(BaseModel):
    def model_dump(self, **_: Any) -> Any:
        raise RuntimeError("no dump")


def test_trap_36_values_of_all_kinds_are_encoded() -> None:
    id = uuid.UUID(int=7)
    cases: list[tuple[Any, Any]] = [
        ({"a": [1, "x", None, True]}, {"a": [1, "x", None, True]}),
        (Model(name="n", inner=Data(1, {2})), {"name": "n", "inner": {"a": 1, "b": [2]}}),
        (id, str(id)),
        (
            datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc),
            "2026-01-02T03:00:00+00:00",
        ),
        (datetime.timedelta(minutes=1), 60.0),
        (b"bytes", "Ynl0ZXM="),
        (math.nan, None),
        (math.inf, None),
        ({3, 1}, [1, 3]),
        (frozenset((1,)), [1]),
        (deque((1, 2)), [1, 2]),
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), [1, 2]),
        (Colour.RED, "red"),
        (
            {2: "a", None: "b", True: "c", id: "d"},
            {"2": "a", "null": "b", "true": "c", str(id): "d"},
        ),
        ({Colour.RED: 1}, {"red": 1}),
        (OrderedDict(a=1), {"a": 1}),
        ("half \ud800 pair", "half ? pair"),
        ({"\ud800": 1}, {"?": 1}),
        (2**70, 2**70),
        ([-(2**63), 2**64 - 1, 2**64], [-(2**63), 2**64 - 1, 2**64]),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (re.compile("a+"), "a+"),
        (ZoneInfo("UTC"), "UTC"),
        (ValueError("boom"), {"error": "ValueError", "message": "boom"}),
        (Interrupt(value=1, id="i"), {"value": 1, "id": "i", "response_schema": None}),
        (int, "builtins.int"),
    ]

    encoded = [json.loads(dumps(value)) for value, _ in cases]

    assert encoded == [expected for _, expected in cases]


def test_messages_are_encoded_as_their_fields() -> None:
    human = json.loads(dumps(HumanMessage("hi", id="h")))
    chunk = json.loads(dumps(AIMessageChunk("t", id="c")))

    assert human == {
        "content": "hi",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "human",
        "name": None,
        "id": "h",
    }
    assert (chunk["type"], chunk["content"], chunk["chunk_position"]) == (
        "AIMessageChunk",
        "t",
        None,
    )


def test_a_value_in_itself_and_a_deep_one_end() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["me"] = cycle
    deep: Any = "bottom"
    for _ in range(3000):
        deep = [deep]

    assert json.loads(dumps(cycle)) == {"a": 1, "me": "<cycle>"}
    assert b"<nested too deeply>" in dumps(deep)


@pytest.mark.parametrize("value", [Unshowable(), Broken(), object()], ids=["str", "dump", "plain"])
def test_values_that_cannot_be_shown_are_text(value: Any) -> None:
    assert isinstance(json.loads(dumps({"v": value, "\ud800": 1}))["v"], str)
    assert isinstance(json.loads(dumps(value)), str)


def test_data_are_one_line() -> None:
    assert b"\n" not in dumps({"a": "line\nline\r\n"})


def test_an_error_that_cannot_say_what_it_is_is_told_of() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert error_of(Silent())["error"] == "Silent"
