"""Every row's work runs on every contender; the calls themselves check what came out."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.__main__ import AREAS, main
from benchmarks.harness import Effort, measure
from benchmarks.rows import FLOOR, LANGGRAPH, MILLSTREAM, Group, ceiling

from benchmarks import (
    backpressure,
    building,
    chain,
    cold,
    concurrency,
    conversations,
    durability,
    events,
    fanout,
    idle,
    journals,
    keys,
    nested,
    recordings,
    remote,
    runs,
    saving,
    started,
    startup,
    states,
    steps,
    tokens,
    view,
)

ONCE = Effort(seconds=0.0, rounds=1, sample=0.0, supersteps=20)

OURS = ("started", "recordings", "view", "remote")
"""Areas of what langgraph does not have."""

SLOW = ("concurrency", "backpressure", "durability", "conversations", "journals", "remote")
"""Areas that start many processes or a cluster, for which `startup` stands in every session of
tests, or fill databases, for which `saving` does."""

SMALL = {
    "chain": lambda: chain.groups(3),
    "states": lambda: states.groups(3),
    "cold": lambda: cold.groups(3),
    "idle": lambda: idle.groups(4, 5),
    "keys": lambda: keys.groups((2, 4)),
    "fanout": lambda: fanout.groups(3, 4),
    "nested": lambda: nested.groups(2),
    "steps": lambda: steps.groups(2, 1, 5),
    "concurrency": lambda: concurrency.groups(3, 2, 2, 3),
    "startup": lambda: startup.groups({MILLSTREAM: "json", LANGGRAPH: "csv", FLOOR: "string"}, 1),
    "events": lambda: events.groups(3),
    "tokens": lambda: tokens.groups(3),
    "view": lambda: view.groups(3),
    "runs": lambda: runs.groups(3, 3),
    "started": lambda: started.groups(3),
    "recordings": lambda: recordings.groups(3, 3),
    "backpressure": lambda: backpressure.groups(1),
    "building": lambda: building.groups(3),
    "saving": lambda: saving.groups(3, 2, 5),
    "journals": lambda: journals.groups(3),
    "conversations": lambda: conversations.groups(20, 2, 3),
    "durability": lambda: durability.groups(("sync",)),
    "remote": lambda: remote.groups(items=3, numbers=3),
}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give the test an event loop of its own."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol .* is experimental")
@pytest.mark.parametrize(
    "area",
    [pytest.param(a, marks=[pytest.mark.long] if a in SLOW else []) for a in AREAS],
)
def test_every_row_measures_its_contenders(
    area: str, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backpressure, "TIMES", 1)
    if area in ("events", "backpressure") and sys.version_info < (3, 11):
        pytest.skip("Python < 3.11: langgraph's writer does not work in async nodes")
    for group in SMALL[area]():
        results = measure(group, ONCE, loop)

        titles = [row.title for row in group.rows]
        assert len(set(titles)) == len(titles)
        for row in group.rows:
            if row.missing:
                assert not row.contenders
                continue
            names = [contender.name for contender in row.contenders]
            assert MILLSTREAM in names
            is_ours = area in OURS or row.title.startswith("millstream -")
            assert LANGGRAPH in names or is_ours
            assert all(results[row.title, name].best > 0 for name in names)


@pytest.mark.parametrize(
    ("limit", "arguments", "code"),
    [(1e9, ["--strict"], 0), (0.0, ["--strict"], 1), (0.0, [], 0)],
    ids=["strict, goal met", "strict, goal missed", "goal missed"],
)
def test_only_strict_runs_fail_when_a_goal_is_missed(
    limit: float,
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def groups() -> list[Group]:
        row, _ = building.groups(2)[0].rows
        aimed = dataclasses.replace(row, goals=(ceiling(limit, "ms"),))
        return [Group("building", (aimed,))]

    monkeypatch.setitem(AREAS, "building", groups)
    monkeypatch.setattr("benchmarks.__main__.QUICK", ONCE)
    monkeypatch.setattr("benchmarks.__main__.FOLDER", tmp_path)

    assert main(["--quick", *arguments, "building"]) == code

    shown = capsys.readouterr().out
    assert "build and compile 2 nodes" in shown
    assert ("PASS" if limit else "FAIL") in shown
    assert [path.name for path in tmp_path.iterdir()] == ["part.json"]


def test_an_unknown_area_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nonsense"])

    assert "choose from chain, states, cold" in capsys.readouterr().err
