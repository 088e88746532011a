"""What docs/pictures.md shows is what is drawn."""

from __future__ import annotations

from pathlib import Path

from pictures.graphs import AGENT
from pictures.picture import FILE, writer

PAGE = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text(encoding="utf-8")


def test_the_picture_is_drawn_so() -> None:
    drawn = writer().draw_svg(title="Writer")

    assert FILE.read_text(encoding="utf-8") == drawn, "python tests/pictures/picture.py draws it"


def test_the_characters_are_drawn_so() -> None:
    assert f"```text\n{AGENT.draw_ascii()}```" in PAGE
