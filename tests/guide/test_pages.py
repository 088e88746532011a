"""The examples of the pages in docs do what the pages say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("run-streams.md",)
"""Pages all of whose examples print what stands below them; each goes on from those before."""


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_print_what_stands_below_them(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|text)\n(.*?)```", page, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    names: dict[str, Any] = {"__name__": "page"}

    for (_, program), (_, expected) in zip(blocks[::2], blocks[1::2], strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, name, "exec"), names)

        assert printed.getvalue() == expected


def test_the_examples_about_savers_run_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a thread of theirs goes to LangGraph's tables and back."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "persistence.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "page"}
    printed = io.StringIO()

    for program in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "persistence.md", "exec"), names)

    names["saver"].close()
    assert printed.getvalue() == "0 0 3\n"
    assert {path.name for path in tmp_path.glob("*.db")} == {"threads.db", "langgraph.db"}
