"""Threads with delta channels change hands: what one library stored, the other rebuilds."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from differential.engines import engine
from interchange.delta_scenarios import DELTA_SCENARIOS, chain
from interchange.playing import Scenario, Stage, World, play
from interchange.test_threads import DIRECTIONS, STAGES, THEIRS


@pytest.fixture(scope="session")
def expected() -> dict[Any, list[str]]:
    """Keep the records of threads that never changed hands."""
    return {}


@pytest.mark.parametrize("scenario", DELTA_SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize(("kind", "driver"), STAGES)
@pytest.mark.parametrize(("first", "second"), DIRECTIONS, ids=["theirs-ours", "ours-theirs"])
def test_a_thread_with_delta_channels_can_change_hands(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    expected: dict[Any, list[str]],
    first: str,
    second: str,
    kind: str,
    driver: str,
    scenario: Scenario,
) -> None:
    address = str(tmp_path / "saver.sqlite")
    if kind.endswith("postgres"):
        address = request.getfixturevalue("postgres")
    stage = Stage(driver, kind, address)

    record = play(scenario, first, second, stage)

    key = (scenario.name, kind, driver)
    if key not in expected:
        expected[key] = play(scenario, THEIRS, THEIRS, stage)
    assert record == expected[key]


@pytest.mark.parametrize(("first", "second"), DIRECTIONS, ids=["theirs-ours", "ours-theirs"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_turns_on_one_memory_saver(driver: Any, first: str, second: str, durability: str) -> None:
    """Each turn is played by the other library; every value of the past stays readable."""
    saver = InMemorySaver()
    graphs = [chain(7)(engine(root), World(is_first=True), saver) for root in (first, second)]
    config = {"configurable": {"thread_id": "1"}}

    results = [
        driver.invoke(graph, {"log": [turn]}, config, durability=durability)["log"]
        for turn, graph in enumerate([*graphs, *graphs])
    ]

    turns = [[turn, "a", "b", "c", "d"] for turn in range(4)]
    assert results == [[item for turn in turns[: n + 1] for item in turn] for n in range(4)]
    histories = [
        [snapshot.values.get("log") for snapshot in graph.get_state_history(config)]
        for graph in graphs
    ]
    assert histories[0] == histories[1]
    assert histories[0][0] == results[-1]
