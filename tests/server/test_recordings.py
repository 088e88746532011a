"""Every recorded exchange against our server.

What differs on purpose is in `scenes.DIFFERENT`, and in docs/server-compatibility.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from server.fixtures import config_of, running
from server.graphs import make_graphs
from server.recordings import FOLDER, WITH_RECORDINGS, Replay
from server.scenes import DIFFERENT, LIVE, OPTIONS, SCENES, Script

pytestmark = [
    WITH_RECORDINGS,
    pytest.mark.real_time(reason="the nodes of `slow` take some time"),
]

PAGE: Final = Path(__file__).parents[2] / "docs" / "server-compatibility.md"
ELSEWHERE: Final = {"webhook_received": "no exchange: test_webhooks.py"}
"""Recordings that are looked at by other tests."""


def replayed(scene: str, directory: Path) -> Script:
    """Play a scene, with a server as the recorded one was at its start."""
    options = OPTIONS.get(scene, {})
    with running(config_of(make_graphs(), directory, **options)) as server:
        script = Script(Replay(server))
        if scene in SCENES:
            script.play(SCENES[scene])
        else:
            LIVE[scene][1](script)
    return script


@pytest.mark.parametrize("scene", SCENES)
def test_recorded_exchanges_come_out_the_same(tmp_path: Path, scene: str) -> None:
    assert replayed(scene, tmp_path).wrong == {}


@pytest.mark.long
@pytest.mark.parametrize("scene", LIVE)
def test_exchanges_that_went_on_at_the_same_time_do_too(tmp_path: Path, scene: str) -> None:
    script = replayed(scene, tmp_path)

    assert script.wrong == {}
    assert sorted(script.played) == sorted(LIVE[scene][0].split())


def test_every_recording_is_replayed_and_every_difference_is_listed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = {path.stem for path in FOLDER.glob("*.txt")}
    scenes = [*SCENES.values(), *(played for played, _ in LIVE.values())]
    played = {name for scene in scenes for name in scene.split()}

    assert names - played == set(ELSEWHERE)
    assert played <= names
    assert [name for name in DIFFERENT if f"`{name}`" not in text] == []
    assert set(DIFFERENT) <= played
    same = len(played) - len(DIFFERENT)
    counted = f"Of {len(played)} exchanges {same} are the same, and {len(DIFFERENT)} differ"
    sys.stdout.write(f"{counted}; {len(ELSEWHERE)} is no exchange.\n")
    assert counted in " ".join(text.split())
