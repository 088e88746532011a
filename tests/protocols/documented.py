"""The tables of `docs/frontends.md` that have a row for everything a protocol has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs" / "frontends.md"
NEVER: Final = "never: "
"""How the cell begins that says why something is not told."""


def rows(heading: str) -> dict[str, str]:
    """Return the table under a heading: what it is about -> when that is told, or why never."""
    after = DOCS.read_text().partition(f"### {heading}\n")[2]
    table = re.split(r"^#", after, maxsplit=1, flags=re.MULTILINE)[0]
    found: dict[str, str] = {}
    for names, told in re.findall(r"^\| (`.+?) \| (.+) \|$", table, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", names), told)
    return found


def never(table: dict[str, str]) -> set[str]:
    """Return what is not told."""
    return {name for name, told in table.items() if told.startswith(NEVER)}
