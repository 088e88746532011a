"""How the values of two checkpoints are compared."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from millstream.journal.differences import Difference, differences

DUMP = JsonPlusSerializer().dumps_typed


def changes(before: Any, after: Any) -> list[str]:
    found = differences({"x": before}, {"x": after}, DUMP)
    return [each.how for each in found]


@pytest.mark.parametrize(
    ("before", "after", "how"),
    [
        (1, 2, "1 -> 2"),
        (1, True, "1 -> True"),
        ([1, 2], [1, 2, 3], "2 -> 3 items, 1 added at the end: 3"),
        ([1, 2], [0, 1, 2], "2 -> 3 items, 1 added at the beginning: 0"),
        ([1, 2, 3], [1, 9, 3], "3 -> 3 items, 1 replaced at 1: 9"),
        ([1, 2, 3, 4], [1, 4], "4 -> 2 items, 2 removed at 1"),
        ([1, 2, 3], [1, 8, 9, 7], "3 -> 4 items, 2 removed and 3 added at the end"),
        ([], [[1, 2]], "0 -> 1 items, 1 added at the end: 2 items"),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, "added 'c', removed 'a', changed 'b'"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "the order of its keys"),
        ("x", [1], "'x' -> [1]"),
    ],
)
def test_a_change_is_told_shortly(before: Any, after: Any, how: str) -> None:
    assert changes(before, after) == [how]


def test_what_is_equal_is_not_told() -> None:
    assert changes([1, {"a": float("nan")}], [1, {"a": float("nan")}]) == []


def test_channels_come_and_go() -> None:
    found = list(differences({"b": 1, "c": 1}, {"a": 2, "b": 1}, DUMP))
    assert found == [Difference("a", "added", "2"), Difference("c", "removed", "1")]


def test_long_values_are_cut() -> None:
    [how] = changes("a", "b" * 1000)
    assert len(how) < 80
    [how] = changes({}, dict.fromkeys(range(100)))
    assert how.endswith("and 92 more")
