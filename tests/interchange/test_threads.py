"""A thread that one library began is ended by the other as if nothing had happened."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import Any

import pytest

from forked_python import run_python
from interchange.playing import DIRECTIONS, THEIRS, Scenario, Stage, play
from interchange.scenarios import SCENARIOS

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
each_direction = pytest.mark.parametrize(
    ("first", "second"), DIRECTIONS, ids=["-".join(pair) for pair in DIRECTIONS]
)
# What each saver does under the other driver is tested in tests/savers. langgraph's async nodes
# cannot ask on Python 3.10.
_ASYNC = "async" if sys.version_info >= (3, 11) else "sync"
STAGES = (
    ("sqlite", "sync"),
    pytest.param("postgres", _ASYNC, marks=pytest.mark.long),
    ("journal", _ASYNC),
    pytest.param("journal-memory", "sync", marks=pytest.mark.long),
    pytest.param("journal-postgres", "sync", marks=pytest.mark.long),
)


@pytest.fixture(scope="session")
def expected() -> dict[Any, list[str]]:
    """Keep the records of threads that never changed hands."""
    return {}


@each_scenario
@pytest.mark.parametrize(("kind", "driver"), STAGES)
@each_direction
def test_a_thread_can_change_hands(
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

    key = (scenario.name, stage.kind)
    if key not in expected:
        expected[key] = play(scenario, THEIRS, THEIRS, stage)
    assert record == expected[key]


@pytest.fixture(scope="session")
def strict() -> dict[str, list[str]]:
    """Give the records of a process in which only classes known to be safe can be loaded."""
    tests = pathlib.Path(__file__).parents[1]
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"}
    played = run_python("-m", "interchange.strict", cwd=tests, environment=environment)
    assert played.returncode == 0, played.stderr
    records: dict[str, list[str]] = json.loads(played.stdout)
    # The serializer logs what it refuses to load.
    assert played.stderr == ""
    return records


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python < 3.11: langgraph refuses list[...] in strict mode"
)
@each_scenario
@each_direction
def test_a_thread_can_change_hands_where_only_safe_classes_are_loaded(
    strict: dict[str, list[str]], first: str, second: str, scenario: Scenario
) -> None:
    record = strict[f"{first}-{second}-{scenario.name}"]

    assert record == strict[f"{THEIRS}-{THEIRS}-{scenario.name}"]
