"""Whoever follows CONTRIBUTING.md finds the files it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
TEXT: Final = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES: Final = (ROOT, ROOT / "src" / "millstream", ROOT / "src" / "millstream" / "modes")
"""What paths start from; `modes` is where its recipe has brought the reader."""


def named() -> list[str]:
    """Return what looks like the path of a file in the map and the recipes."""
    part = TEXT[TEXT.index("## Map") : TEXT.index("## Benchmarks")]
    spans = re.findall(r"`([^`]+)`", part)
    words = [word for span in spans for word in span.split()]
    # X stands for any name.
    return sorted({w for w in words if re.fullmatch(r"[.\w/-]*/[.\w/-]+", w) and "X" not in w})


@pytest.mark.parametrize("path", named())
def test_every_path_that_the_map_and_the_recipes_name_is_there(path: str) -> None:
    assert any((place / path).exists() for place in PLACES)


def test_every_package_and_every_folder_of_tests_is_in_the_map() -> None:
    rows = TEXT[TEXT.index("## Map") : TEXT.index("## How to add")]
    packages = {path.parent.name for path in (ROOT / "src" / "millstream").glob("*/__init__.py")}
    tests = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}

    missing = [name for name in packages if f"`{name}`" not in rows.replace("/", "`")]
    of_no_package = {name for name in tests - packages - {"base"} if f"`tests/{name}`" not in rows}

    assert missing == []
    assert of_no_package == set()
