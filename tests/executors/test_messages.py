"""What an executor and its workers say to each other."""

from __future__ import annotations

import pickle

import pytest

from millstream.drivers.elsewhere import (
    Alive,
    CallDropped,
    Emitted,
    Forwarded,
    Heard,
    NodeEvent,
    Passed,
)
from millstream.drivers.executor import Delivery
from millstream.executors.messages import read, said

FREQUENT: list[NodeEvent] = [
    Emitted(("inner:1",), {"sacks": 2}),
    Heard("messages", 1, ("inner:1",), ("a token", {"step": 3})),
    Forwarded(0, (), "updates", {"grind": None}),
]


@pytest.mark.parametrize("number", [None, 3])
@pytest.mark.parametrize("event", [*FREQUENT, Alive(is_heartbeat=True), CallDropped(4), Passed()])
def test_what_a_node_does_is_the_same_when_it_is_read(event: NodeEvent, number: int | None) -> None:
    delivery = Delivery(event, number)

    assert read(said(delivery, "grind"), "grind") == delivery


@pytest.mark.parametrize("event", FREQUENT)
def test_what_nodes_do_most_often_goes_without_the_name_of_its_class(event: NodeEvent) -> None:
    data = said(Delivery(event), "grind")

    assert type(event).__name__.encode() not in data
    assert len(data) < len(pickle.dumps(Delivery(event), pickle.HIGHEST_PROTOCOL)) - 50
