"""What the comparison of two recordings leaves out, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from ecosystem.comparing import differences_between

ID = "0b8f9d8e-51d3-4b4f-9d0a-3b6f6a0c2a1{}"


def _event(method: str, data: Any, namespace: tuple[str, ...] = (), **more: Any) -> list[Any]:
    params = {"namespace": list(namespace), "timestamp": 1, "data": data}
    return ["event", {"type": "event", "method": method, "params": params, **more}]


def _numbered(*events: list[Any]) -> list[list[Any]]:
    return [[label, {**event, "seq": seq}] for seq, (label, event) in enumerate(events, 1)]


def _lifecycle(kind: str) -> list[Any]:
    return _event("lifecycle", {"event": kind, "namespace": ["a"]})


def _message(**fields: Any) -> list[Any]:
    return ["item", {"<message>": "AIMessage", "content": "x", **fields}]


def test_ids_are_compared_by_what_refers_to_what() -> None:
    one, two, three = (ID.format(number) for number in range(3))

    assert differences_between([["a", [one, one, two]]], [["a", [two, two, three]]]) == ()
    assert differences_between([["a", [one, one, two]]], [["a", [one, two, two]]]) is None


def test_made_up_ids_of_messages_and_clocks_are_left_out() -> None:
    theirs = [_message(id=ID.format(1)), _event("values", {"a": "2026-01-01T00:00:00+00:00"})]
    ours = [_message(), _event("values", {"a": "2026-02-02T00:00:00.5+00:00"})]
    ours[1][1]["params"]["timestamp"] = 2

    assert differences_between(theirs, ours) == ()
    assert differences_between([_message(id="given")], [_message()]) is None


BLOCKS = [{"type": "text", "text": "a", "index": 0}, {"type": "tool_call", "name": "t"}]


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        (
            "state-as-said",
            [_message(content=BLOCKS, response_metadata={"output_version": "v1", "stop": 1})],
            [_message(content="a", response_metadata={"stop": 1})],
        ),
        ("event-ids", [_event("values", 1)], [_event("values", 1, event_id="x-1")]),
        (
            "children-start-first",
            _numbered(_event("values", 1, ("a",)), _lifecycle("started"), _event("values", 2)),
            _numbered(_lifecycle("started"), _event("values", 1, ("a",)), _event("values", 2)),
        ),
        (
            "own-end",
            _numbered(_event("values", 1, ("a",)), _event("values", 2), _lifecycle("completed")),
            _numbered(_event("values", 1, ("a",)), _lifecycle("completed"), _event("values", 2)),
        ),
        (
            "chunks-at-once",
            [
                ["event", {"event": "on_chain_start", "run_id": "n", "parent_ids": ["g"]}],
                ["event", {"event": "on_chain_stream", "run_id": "g"}],
            ],
            [
                ["event", {"event": "on_chain_stream", "run_id": "g"}],
                ["event", {"event": "on_chain_start", "run_id": "n", "parent_ids": ["g"]}],
            ],
        ),
    ],
)
def test_a_difference_that_is_on_purpose_is_named(
    name: str, theirs: list[Any], ours: list[Any]
) -> None:
    assert differences_between(theirs, ours) == (name,)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        # The text is another one, or there is a block that text does not show.
        (_message(content=BLOCKS, response_metadata={"output_version": "v1"}), _message()),
        (
            _message(content=[{"type": "image"}], response_metadata={"output_version": "v1"}),
            _message(content="", response_metadata={}),
        ),
        (_event("values", 1), _event("values", 2, event_id="x-1")),
        (_event("values", 1), _event("updates", 1)),
    ],
)
def test_other_differences_are_differences(theirs: list[Any], ours: list[Any]) -> None:
    assert differences_between([theirs], [ours]) is None


def test_items_in_another_order_are_a_difference() -> None:
    events = _numbered(_event("values", 1, ("a",)), _event("values", 2))

    assert differences_between(events, _numbered(events[1], events[0])) is None


def test_an_event_that_is_missing_is_a_difference() -> None:
    assert differences_between([_message(), _message()], [_message()]) is None
