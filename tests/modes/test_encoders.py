"""What was logged can be given away in every form in which it can be streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.modes.encoders import PLAIN, encode_json, encode_protocol, encode_typed, encoder
from millstream.modes.event import Event, logged

pytestmark = pytest.mark.timeout(20)

MODES: Any = ["values", "updates", "custom"]


class Model(BaseModel):
    n: int = 0


def node(state: Model) -> dict[str, Any]:
    get_stream_writer()({"at": state.n})
    return {"n": state.n + 1}


def graph() -> Any:
    inner = StateGraph(Model).add_node(node).add_edge(START, "node").compile()
    builder = StateGraph(Model).add_node(node).add_node("inner", inner)
    return builder.add_edge(START, "node").add_edge("node", "inner").compile()


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Give the log of a run."""
    with graph().start({"n": 1}, stream_mode=MODES, subgraphs=True) as run:
        return list(run.events())


def without_ids(item: Any) -> Any:
    """Return an item whose namespace is the same in every run."""
    if isinstance(item, dict):
        return {key: without_ids(value) for key, value in item.items()}
    if isinstance(item, tuple):
        return tuple(without_ids(each) for each in item)
    return item.split(":")[0] if isinstance(item, str) else item


@pytest.mark.parametrize("is_labelled", [False, True])
@pytest.mark.parametrize("has_subgraphs", [False, True])
def test_plain_items_are_those_of_a_stream(
    events: list[Event], is_labelled: bool, has_subgraphs: bool
) -> None:
    mode = MODES if is_labelled else "values"
    streamed = graph().stream({"n": 1}, stream_mode=mode, subgraphs=has_subgraphs)
    chosen = [
        event
        for event in events
        if (is_labelled or event.mode == "values") and (has_subgraphs or not event.namespace)
    ]

    encoded = [PLAIN[is_labelled, has_subgraphs](event) for event in chosen]

    assert [without_ids(item) for item in encoded] == [without_ids(item) for item in streamed]


def test_typed_parts_are_those_of_a_stream(events: list[Event]) -> None:
    streamed = graph().stream({"n": 1}, stream_mode=MODES, subgraphs=True, version="v2")

    encoded = [encode_typed(event) for event in events]

    assert [without_ids(item) for item in encoded] == [without_ids(item) for item in streamed]
    states = [item["data"] for item in encoded if item["type"] == "values"]
    assert states[0] == Model(n=1)


def test_protocol_events_have_the_place_and_the_time_of_the_log(events: list[Event]) -> None:
    encoded = [encode_protocol(event) for event in events]

    assert [event["seq"] for event in encoded] == list(range(1, len(events) + 1))
    assert [event["method"] for event in encoded] == [event.mode for event in events]
    times = [event["params"]["timestamp"] for event in encoded]
    assert times == [event.timestamp for event in events]
    assert [event["params"]["namespace"] for event in encoded] == [
        list(event.namespace) for event in events
    ]


def test_json_has_the_place_of_events_and_not_of_parts() -> None:
    part = (("a:1",), "custom", {"x": {1}}, None)

    assert encode_json(part) == {"mode": "custom", "ns": ["a:1"], "data": {"x": [1]}}
    encoded = encode_json(logged(part, 3, 0))
    assert json.dumps(encoded) == '{"seq": 3, "mode": "custom", "ns": ["a:1"], "data": {"x": [1]}}'


def test_events_have_no_other_forms_than_parts(events: list[Event]) -> None:
    for event in events:
        part = tuple(event[:4])
        for version in ("v1", "v2"):
            encode: Any = encoder(version, is_labelled=True, has_subgraphs=True)
            assert encode(part) == encode(event)


def test_an_event_is_shown_by_what_matters() -> None:
    assert repr(logged(((), "custom", 1, None), 3, 0)) == "Event(seq=3, mode='custom', data=1)"
    nested = logged((("a:1",), "custom", 1, None), 3, 0)
    assert repr(nested) == "Event(seq=3, mode='custom', data=1, namespace=('a:1',))"
