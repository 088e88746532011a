"""The graphs of the examples: nothing lies on anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from millstream.cli.target import load_graph
from millstream.pictures.measures import CHARACTERS, PIXELS
from pictures.looking import check

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize("xray", [False, True])
@pytest.mark.parametrize("example", ["digest", "agents"])
def test_examples_are_drawn(example: str, xray: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILE", str(ROOT / "README.md"))

    drawn = load_graph(f"{ROOT}/examples/{example}.py:graph").get_graph(xray=xray)

    check(drawn, PIXELS)
    check(drawn, CHARACTERS)
