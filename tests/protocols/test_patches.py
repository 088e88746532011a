"""Patches of JSON: what they make of the old value is the new one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.protocols.patches import patch

KEYS = st.sampled_from(["a", "b", "a/b", "~", "~1", "", "0", "-"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.just(1.0) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def applied(document: Any, operations: list[dict[str, Any]]) -> Any:
    """Return what operations make of a document, as RFC 6902 has it."""
    root = {"": json.loads(json.dumps(document))}
    for each in operations:
        path = [one.replace("~1", "/").replace("~0", "~") for one in each["path"].split("/")]
        *parents, last = path
        at: Any = root
        for step in parents:
            at = at[int(step) if isinstance(at, list) else step]
        if isinstance(at, list):
            if each["op"] == "add":
                assert last == "-"
                at.append(each["value"])
            elif each["op"] == "remove":
                del at[int(last)]
            else:
                at[int(last)] = each["value"]
        elif each["op"] == "remove":
            del at[last]
        else:
            assert (last in at) is (each["op"] == "replace")
            at[last] = each["value"]
    return root[""]


@settings(max_examples=200)
@given(VALUES, VALUES)
def test_a_patch_makes_the_new_value_of_the_old_one(old: Any, new: Any) -> None:
    # As JSON: there `true`, `1` and `1.0` are three values.
    made = json.dumps(applied(old, list(patch(old, new))), sort_keys=True)

    assert made == json.dumps(new, sort_keys=True)


@pytest.mark.parametrize(
    ("old", "new", "operations"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
        ([1], [1, 2], [{"op": "add", "path": "/-", "value": 2}]),
        ([1, 2, 3], [1], [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}]),
        ({"a/~": 1}, {}, [{"op": "remove", "path": "/a~1~0"}]),
        (
            {"plan": [{"is_done": False}, {"is_done": False}]},
            {"plan": [{"is_done": False}, {"is_done": True}]},
            [{"op": "replace", "path": "/plan/1/is_done", "value": True}],
        ),
    ],
)
def test_no_more_is_told_than_what_has_changed(old: Any, new: Any, operations: Any) -> None:
    assert list(patch(old, new)) == operations
