"""What the site of the documentation is made of; `make docs` refuses what is wrong with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "millstream"
NO_REFERENCE: Final = {"cli", "typing", "version", "wire"}
"""Public modules without a page: a command, type variables, a number, what savers are given."""


@pytest.fixture(scope="module")
def pages() -> Any:
    """Give the module behind `make docs`."""
    spec = importlib.util.spec_from_file_location("pages", ROOT / "scripts" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_module_has_a_page(pages: Any) -> None:
    found = [*SOURCE.glob("*.py"), *SOURCE.glob("*/__init__.py")]
    public = {
        (path.parent.name if path.stem == "__init__" else path.stem)
        for path in found
        if "\n__all__ = " in path.read_text(encoding="utf-8")
    }

    described = {name.removeprefix("millstream.") for name in pages.MODULES}

    assert public - described - NO_REFERENCE == set()


def test_pages_stand_where_the_first_page_lists_them_and_all_others_at_the_end(pages: Any) -> None:
    index = "# Home\n\n## Begin\n\n- [One](one.md): first\n\n## Reference\n\n- [Two](two.md)\n"

    text = pages.with_navigation(index, {"index.md", "one.md", "two.md", "late.md"})

    trees = text.split("```{toctree}\n")[1:]
    assert [tree.split() for tree in trees] == [
        [":hidden:", ":caption:", "Begin", "one.md", "```"],
        [":hidden:", ":caption:", "Reference", "two.md", "api/index.md", "```"],
        [":hidden:", ":caption:", "More", "late.md", "```"],
    ]


@pytest.mark.parametrize(
    ("link", "moved"),
    [
        ("[a](../runs.md#events)", "[a](../runs.md#events)"),
        ("[a](../../CONTRIBUTING.md)", "[a](../project/contributing.md)"),
        ("[a](#here)", "[a](#here)"),
        ("[a](https://example.com/x.md)", "[a](https://example.com/x.md)"),
        ("`handlers[name](../../CONTRIBUTING.md)`", "`handlers[name](../../CONTRIBUTING.md)`"),
    ],
)
def test_links_lead_to_the_copies_of_pages(pages: Any, link: str, moved: str) -> None:
    assert pages.with_links(link, pages.DOCS / "guide", pages.COPY / "guide") == moved


@pytest.mark.parametrize(
    ("page", "is_refused"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', True),
        ('<script src="_static/x.js"></script><a href="https://example.com">there</a>', False),
    ],
)
def test_pages_that_load_from_another_host_are_refused(
    pages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, is_refused: bool
) -> None:
    monkeypatch.setattr(pages, "SITE", tmp_path)
    (tmp_path / "index.html").write_text(page, encoding="utf-8")

    assert bool([*pages.loaded_from_elsewhere()]) == is_refused
