"""What is worked out once, when a graph is compiled."""

from __future__ import annotations

from typing import Any

import pytest

from core.builders import graph, log, node
from millstream.channels import (
    BaseChannel,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
)
from millstream.constants import PULL
from millstream.core.spec import GraphSpec, overriding


def test_channels_know_the_nodes_they_trigger_by_name() -> None:
    """Nodes are sorted by name, whatever the order in which they were added."""
    spec = graph([node("b", "x"), node("a", "x", "y"), node("c", "z")])

    triggered = {name: [n.name for n in nodes] for name, nodes in spec.triggered.items()}

    assert triggered == {"x": ["a", "b"], "y": ["a"], "z": ["c"]}


def test_nodes_consume_only_triggers_that_forget_when_asked() -> None:
    """Barriers are consumed; a trigger that is no channel at all is left alone."""
    barrier = NamedBarrierValue(str, {"x"})
    spec = graph([node("a", "join", "to:a")], {"join": barrier})
    stray = GraphSpec(
        nodes={"a": node("a", "nowhere")},
        channels={},
        shown={},
        output_keys=(),
        stream_keys=(),
    )

    consumed = [spec.nodes["a"].consumes, stray.nodes["a"].consumes]

    assert consumed == [("join",), ()]


def test_channels_with_a_first_value_are_known() -> None:
    """A reducer of lists starts with a list; the others are empty."""
    spec = graph([], {"log": log(), "last": LastValue(int)})

    assert spec.initial == ("log",)


def test_channels_that_may_change_at_the_end_are_known() -> None:
    """Only the channels behind deferred nodes change when no work is left."""
    spec = graph(
        [],
        {
            "late": LastValueAfterFinish(Any),
            "last": LastValue(int),
            "join": NamedBarrierValueAfterFinish(str, {"a"}),
        },
    )

    assert spec.finishing == ("late", "join")


@pytest.mark.parametrize(
    ("shown", "expected"), [([], False), (["last"], False), (["last", "gone"], True)]
)
def test_a_state_fades_if_a_shown_channel_does(shown: list[str], expected: bool) -> None:
    """Channels out of sight do not count."""
    spec = graph([], {"last": LastValue(int), "gone": EphemeralValue(int)}, shown=shown)

    assert spec.has_fading_values is expected


def test_a_node_knows_the_path_of_its_triggered_tasks() -> None:
    """All triggered tasks of a node share one path."""
    assert node("a").path == (PULL, "a")


def test_channels_override_what_their_class_defines() -> None:
    """Inherited methods that do nothing need no call."""
    channels: dict[str, BaseChannel[Any, Any, Any]] = {
        "late": LastValueAfterFinish(Any),
        "plain": LastValue(int),
    }

    found = [overriding(channels, method) for method in ("consume", "finish", "copy")]

    assert found == [{"late"}, {"late"}, {"late", "plain"}]
