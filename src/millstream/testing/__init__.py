"""Tests of graphs without their models, without waiting and without a network.

`scripted` has models that say what a test wants, `recorded` compares a graph with a recorded run,
`node` runs one node, `clock` has time that does not pass by itself, `network` refuses connections.
`plugin` gives all that to pytest, which loads it by itself. docs/testing.md is the guide.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.testing.clock import FakeClock, fake_clock
    from millstream.testing.network import NetworkGuard, NetworkRefused, no_network
    from millstream.testing.node import NodeResult, arun_node, run_node
    from millstream.testing.recorded import (
        RecordedModel,
        aassert_runs_as_recorded,
        assert_runs_as_recorded,
    )
    from millstream.testing.scripted import ModelCall, Pause, ScriptedModel, tool_call

_HOMES = {
    "clock": ("FakeClock", "fake_clock"),
    "network": ("NetworkGuard", "NetworkRefused", "no_network"),
    "node": ("NodeResult", "arun_node", "run_node"),
    "recorded": ("RecordedModel", "aassert_runs_as_recorded", "assert_runs_as_recorded"),
    "scripted": ("ModelCall", "Pause", "ScriptedModel", "tool_call"),
}
"""Where the names are; imported when first used, because every session of pytest imports this."""

__all__ = (
    "FakeClock",
    "ModelCall",
    "NetworkGuard",
    "NetworkRefused",
    "NodeResult",
    "Pause",
    "RecordedModel",
    "ScriptedModel",
    "aassert_runs_as_recorded",
    "arun_node",
    "assert_runs_as_recorded",
    "fake_clock",
    "no_network",
    "run_node",
    "tool_call",
)


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
