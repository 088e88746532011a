"""Whatever a graph emits becomes JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from millstream.modes.jsonable import to_jsonable


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: Any


class Model(BaseModel):
    point: Point


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: (2, 3), Colour.RED: {4}}, {"1": [2, 3], "red": [4]}),
        (Point(Colour.RED), {"x": "red"}),
        (Model(point=Point(None)), {"point": {"x": None}}),
        (KeyError("x"), {"error": "KeyError", "message": "'x'"}),
        (math.inf, "inf"),
        (date(2020, 1, 2), "2020-01-02"),
        (PurePosixPath("a/b"), "a/b"),
        (b"\xff", "b'\\xff'"),
        (Point, repr(Point)),
    ],
)
def test_values_become_json(value: Any, expected: Any) -> None:
    assert to_jsonable(value) == expected


def test_messages_become_objects() -> None:
    converted = to_jsonable(AIMessage("hi", id="1"))

    assert json.loads(json.dumps(converted)) == converted
    assert (converted["type"], converted["content"], converted["id"]) == ("ai", "hi", "1")


def test_a_value_inside_itself_ends() -> None:
    value: list[Any] = [1]
    value.append(value)

    assert to_jsonable(value) == [1, "<cycle>"]
