"""What `make beside` rests on, without the other server."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from beside.comparing import Listed, compare, key_of, uncovered
from beside.scenes import SCENES
from beside.side import Side
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

PAGE = Path(__file__).parents[2] / "docs" / "server-compatibility.md"


def play(server: Running, scene: str) -> Side:
    side = Side(server.url, scene)
    SCENES[scene](side)
    side.close()
    return side


@pytest.mark.long
@pytest.mark.real_time(reason="the nodes of `slow` take some time")
def test_the_scenes_ask_for_every_operation_and_come_out_the_same_twice(tmp_path: Path) -> None:
    asked: list[Any] = []
    different = {}
    with ExitStack() as stack:
        servers = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            config = config_of(make_graphs(), tmp_path / name)
            servers.append(stack.enter_context(running(config)))
        for scene in SCENES:
            sides = [play(server, scene) for server in servers]
            asked += sides[0].exchanges.values()
            if found := compare(*sides):
                different[scene] = found

    assert different == {}
    assert uncovered(asked) == []


@pytest.mark.parametrize(
    ("difference", "key"),
    [
        ("status 404, not 200: {}", "status"),
        ("header location is None, not 'x. is y'", "location"),
        ("body has also a", "a"),
        ("3 values.messages[0] has no id", "id"),
        ("3 values.messages[0].content is 'a has no b', not 'c'", "content"),
        ("body.tasks has 2 items, not 1: [0]", "tasks"),
        ("events are ['a']; ['b']", "events"),
    ],
)
def test_a_difference_is_known_by_its_key(difference: str, key: str) -> None:
    assert key_of(difference) == key


def test_what_is_not_listed_is_told() -> None:
    listed = Listed.read(PAGE)

    assert listed.split("agents: initialize", ["body.name is 1, not 2"])[1] == []
    assert listed.split("agents: initialize", ["body.nam is 1, not 2"])[1] != []
    assert listed.split("agents: other", ["body.name is 1, not 2"])[1] != []
    scenes = {pattern.partition(":")[0] for pattern, _ in listed.rows}
    assert scenes <= {*SCENES}
