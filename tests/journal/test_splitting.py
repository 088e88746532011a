"""Values are cut where they may be alike, and every cut is right."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from journal.states import States
from millstream.journal.splitting import compare, cut

SERDE = JsonPlusSerializer()
DATA = st.binary(max_size=80) | st.text("ab\x81\x91\xdc\x00", max_size=80).map(str.encode)


def dumped(value: Any) -> bytes:
    """Return what is cut of a value."""
    return SERDE.dumps_typed(value)[1]


def rejoined(new: bytes, old: bytes) -> tuple[bytes, int]:
    """Return a value joined from pieces of an older one and its own, and how much is old."""
    ends = cut(old)
    starts = [0, *ends]
    joined, kept = b"", 0
    for first, last, is_kept in compare(new, old, ends):
        assert first < last
        piece = old[starts[first] : ends[last - 1]] if is_kept else new[first:last]
        joined += piece
        kept += len(piece) if is_kept else 0
    return joined, kept


@given(DATA, DATA, DATA, DATA)
def test_any_bytes_are_cut_and_joined(start: bytes, one: bytes, other: bytes, end: bytes) -> None:
    """Bytes that are no msgpack too, alone and beside others that begin and end alike."""
    new, old = start + one + end, start + other + end
    ends = cut(old)
    assert ends == sorted(set(ends))
    assert ends[-1] == len(old)
    if new and old:
        assert rejoined(new, old)[0] == new


@pytest.mark.parametrize("seed", range(20))
def test_values_that_change_are_joined(seed: int) -> None:
    """What a node does to a value, in place or not, can be told from what was there."""
    states = States(seed)
    value = states.value()
    for _ in range(20):
        old = dumped(value)
        value = states.change(value)
        assert rejoined(dumped(value), old)[0] == dumped(value)


def _messages(count: int) -> list[Any]:
    return [HumanMessage(f"{at}" + "x" * 1000, id=str(at)) for at in range(count)]


def test_a_list_that_grows_shares_all_but_what_is_new() -> None:
    """Also when the number of its elements takes another byte, and deep inside of a dict."""
    for count in (3, 15, 16, 300):
        old, new = _messages(count), _messages(count + 1)
        for before, after in ((old, new), ({"a": {"b": old}, "c": 1}, {"a": {"b": new}, "c": 2})):
            kept = rejoined(dumped(after), dumped(before))[1]
            assert len(dumped(after)) - kept < 1400


def test_what_is_changed_in_the_middle_is_new_alone() -> None:
    """What stands before it and behind it is shared."""
    messages = _messages(300)
    old = dumped(messages)
    messages[150].content = "y" * 900
    changed = dumped(messages)
    assert len(changed) - rejoined(changed, old)[1] < 1400
    del messages[:100]
    old, new = changed, dumped(messages)
    assert len(new) - rejoined(new, old)[1] < 1400


def test_a_number_put_into_many_moves_few_cuts() -> None:
    """Cuts in rows of small elements go by what they are, not by where."""
    numbers = random.Random(1).choices(range(10_000), k=10_000)
    old = dumped(numbers)
    pieces = {old[first:last] for first, last in zip([0, *cut(old)], cut(old), strict=False)}
    assert 20 < len(pieces) < 200
    numbers.insert(5_000, 7)
    new = dumped(numbers)
    others = [new[a:b] for a, b in zip([0, *cut(new)], cut(new), strict=False)]
    assert sum(piece not in pieces for piece in others) < 5


def test_a_long_text_is_a_piece_wherever_it_is() -> None:
    """A message is stored with its text, whatever else is in it: with an id and without."""
    text = "x" * 1000
    with_id, without = dumped([HumanMessage(text, id="1")]), dumped({"a": HumanMessage(text)})
    shared = set()
    for data in (with_id, without):
        ends = cut(data)
        shared.add(max((data[a:b] for a, b in zip([0, *ends], ends, strict=False)), key=len))
    assert len(shared) == 1
