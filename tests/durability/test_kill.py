"""A run that is killed again and again ends as if it had never been."""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from durability import program
from durability.history import NESTED, History
from durability.promises import REPEATED, may_repeat
from forked_python import run_python

KILLS: Final = 50
LAG: Final = {"sync": 0.0, "async": 0.002, "exit": 0.0}
"""Durability -> seconds that storing takes at least: a run gets ahead of a slow saver only."""
SIGKILLED: Final = -9
CASES: Final = list(
    itertools.product(
        ("sqlite", "postgres", "journal", "journal-postgres"), ("sync", "async"), REPEATED
    )
)
SHORT: Final = [
    ("sqlite", "sync", "sync"),
    ("journal", "async", "async"),
]
"""Cases that run in every session of tests."""


def moments(seed: str) -> list[dict[str, Any]]:
    """Return when to kill: no two in one round, some inside parallel supersteps and nested runs."""
    chance = random.Random(seed)
    rests = set(range(program.REST, program.ROUNDS - 1, 2 * program.REST))
    others = chance.sample(sorted(set(range(1, program.ROUNDS - 1)) - rests), KILLS - len(rests))
    planned = []
    for index, round in enumerate(sorted([*rests, *others])):
        where = "nested" if round in rests else "amid" if index % 3 == 0 else "anywhere"
        planned.append(
            {
                "round": round,
                "where": where,
                "skip": chance.randrange(16),
                "delay": chance.uniform(0, 0.002) if where == "anywhere" else 0.0,
            }
        )
    return planned


def kill_and_restart(plan: dict[str, Any]) -> History:
    """Run the program in as many processes as it takes."""
    tests = Path(__file__).parents[1]
    done = run_python("-m", "durability.killing", json.dumps(plan), cwd=tests)
    assert done.returncode == 0, done.stderr
    launches = json.loads(done.stdout)
    expected = [SIGKILLED] * len(plan["moments"]) + [0]
    assert [launch["status"] for launch in launches] == expected, done.stderr
    return History([[tuple(entry) for entry in launch["records"]] for launch in launches])


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    """Give the state that the graph ends with when nothing is saved and nobody is killed."""
    launch = program.Launch(lambda kind, round, node: None)
    graph = program.build(launch, is_async=False)
    states = list(graph.stream(program.INPUT, program.THREAD, stream_mode="values"))
    assert len(states) == program.SUPERSTEPS + 1
    return states[-1]


@pytest.mark.parametrize(
    ("saver", "driver", "durability"),
    [pytest.param(*case, marks=[] if case in SHORT else pytest.mark.long) for case in CASES],
)
def test_a_run_killed_fifty_times_ends_the_same_and_repeats_what_is_promised(
    saver: str,
    driver: str,
    durability: str,
    tmp_path: Path,
    undisturbed: Any,
    request: pytest.FixtureRequest,
) -> None:
    is_file = saver in ("sqlite", "journal")
    plan = {
        "saver": saver,
        "target": str(tmp_path / "saved.db") if is_file else request.getfixturevalue("postgres"),
        "driver": driver,
        "durability": durability,
        "lag": LAG[durability],
        "thread": uuid.uuid4().hex,
        "moments": moments(f"{saver} {driver} {durability}"),
    }

    history = kill_and_restart(plan)

    assert history.result == undisturbed
    held = Counter(program.HELD[moment["where"]] for moment in plan["moments"])
    assert history.held()["right"] == held["right"]
    assert history.held()["wake"] == held["wake"]
    if durability == "exit":
        starts = history.call_starts()
        assert [began for began, _ in starts] == [call for _, call in starts]
        assert max(history.repeated()) > may_repeat("async")
        return
    assert max(history.repeated()) <= may_repeat(durability)
    assert history.amid() >= held["right"]
    again = history.stored_and_run_again()
    if durability == "sync":
        assert history.went_back() == []
        assert again == []
    else:
        assert max(history.repeated()) > 0
        # A nested run is found again only by the checkpoint it was called from.
        assert [(round, node) for round, node in again if node not in NESTED] == []
