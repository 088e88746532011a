"""Links of the documentation lead somewhere, and what is documented by name is all there is."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Final

import pytest

from millstream import errors

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for folder, pattern in ((ROOT, "*.md"), (ROOT / "benchmarks", "*.md"), (DOCS, "**/*.md"))
    for path in folder.glob(pattern)
)
BLOCK: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors_of(text: str) -> set[str]:
    """Return what links may name of a page: its headings, as forges and the site write them."""
    headings = (heading.strip().lower() for heading in HEADING.findall(BLOCK.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    broken = []
    for link in LINK.findall(BLOCK.sub("", text)):
        name, _, anchor = link.partition("#")
        if ":" in name:
            continue  # whether others' pages are there is not asked
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (
            anchor and anchor not in anchors_of(target.read_text(encoding="utf-8"))
        ):
            broken.append(link)

    assert broken == []


def test_installing_names_every_extra_but_those_of_development() -> None:
    page = (DOCS / "guide" / "install.md").read_text(encoding="utf-8")
    named = re.findall(r"^\|.*\| `(\w+)` \|$", page, re.MULTILINE)

    extras = importlib.metadata.metadata("millstream").get_all("Provides-Extra") or []

    assert sorted(named) == sorted({*extras} - {"test", "dev", "docs"})


@pytest.mark.parametrize("code", errors.ErrorCode, ids=lambda code: code.value)
def test_every_code_that_errors_lead_to_has_a_page(code: errors.ErrorCode) -> None:
    page = DOCS / "guide" / "errors" / f"{code.value}.md"

    assert page.read_text(encoding="utf-8").startswith(f"# {code.value}\n")


def test_every_error_has_a_cause_and_a_cure() -> None:
    page = (DOCS / "guide" / "troubleshooting.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))

    told = set(errors.__all__) - {"ErrorCode", "NodeError", "is_invalid_resume"}

    assert explained == told
