"""Make the site of the documentation: `make docs` calls it, and build/site is what it makes.

The pages of `docs` are copied, together with those of the root that they lead to and a page for
each public module, and Sphinx makes HTML of the copy. Whatever it warns of is an error: links to
pages, files and headings that are not there, pages that are in no navigation, modules that cannot
be imported. So is what a page would load from another host.

The navigation is what `docs/index.md` lists, heading by heading. A page that is not listed there
stands under "More", so that none is lost.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
COPY: Final = ROOT / "build" / "site-source"
SITE: Final = ROOT / "build" / "site"

FROM_THE_ROOT: Final = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/RESULTS.md": "project/benchmarks.md",
    "benchmarks/SERVER.md": "project/server-benchmarks.md",
}
"""Pages that stand elsewhere, and where the site has them."""

MODULES: Final = (
    "millstream",
    "millstream.graph",
    "millstream.types",
    "millstream.func",
    "millstream.pregel",
    "millstream.config",
    "millstream.runtime",
    "millstream.prebuilt",
    "millstream.channels",
    "millstream.managed",
    "millstream.errors",
    "millstream.journal",
    "millstream.journal.exchange",
    "millstream.runs",
    "millstream.stream",
    "millstream.executors",
    "millstream.recording",
    "millstream.testing",
    "millstream.checking",
    "millstream.pictures",
    "millstream.protocols.agui",
    "millstream.protocols.aisdk",
    "millstream.protocols.openai",
    "millstream.callbacks",
    "millstream.constants",
    "millstream.warnings",
    "millstream.server",
)
"""The public modules, in the order in which the site shows them."""

MEMBERS: Final = (
    ":members:",
    ":undoc-members:",
    ":imported-members:",
    ":inherited-members: Runnable, Generic",
)
"""What a page shows of its module."""

ABOUT_THE_REFERENCE: Final = """\
# API reference

The public modules, from their docstrings. What is not here, and what begins with an underscore, may
change without notice.
"""

# Code comes first: what looks like a link in it is none.
LINK: Final = re.compile(
    r"^```.*?^```|`[^`\n]+`|(?P<opening>\]\()(?P<goal>[^)#:\s]+)(?P<rest>(?:#[^)\s]*)?\))",
    re.DOTALL | re.MULTILINE,
)
LOADED: Final = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]*>"""
)
STYLED: Final = re.compile(r"""(?:@import\s+["']|url\(["']?)(?:https?:)?//[^)"']*""")
LISTED: Final = re.compile(r"^- \[[^\]]+\]\(([^)#:]+)\)", re.MULTILINE)


def main() -> int:
    """Make the copy and the site; return the exit code."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(DOCS, COPY)
    for page in DOCS.rglob("*.md"):
        copy_page(page, COPY / page.relative_to(DOCS))
    for name, target in FROM_THE_ROOT.items():
        copy_page(ROOT / name, COPY / target)
    index, pages = COPY / "index.md", {p.relative_to(COPY).as_posix() for p in COPY.rglob("*.md")}
    index.write_text(with_navigation(index.read_text(encoding="utf-8"), pages), encoding="utf-8")
    write_reference()
    shutil.rmtree(SITE, ignore_errors=True)
    options = ("-b", "html", "-q", "-W", "--keep-going", "-d", ROOT / "build" / "site-doctrees")
    command = [sys.executable, "-m", "sphinx", *options, COPY, SITE]
    if (code := subprocess.run(command, cwd=ROOT, check=False).returncode) != 0:
        return code
    if strangers := [*loaded_from_elsewhere()]:
        sys.stderr.write("Pages load from elsewhere:\n" + "\n".join(strangers) + "\n")
        return 1
    sys.stdout.write(f"The site is made: {SITE.relative_to(ROOT)}/index.html\n")
    return 0


def loaded_from_elsewhere() -> Iterator[str]:
    """Yield what a browser would fetch from another host to show a page."""
    for page in sorted(SITE.rglob("*.html")):
        for found in LOADED.finditer(page.read_text(encoding="utf-8")):
            yield f"{page.relative_to(SITE)}: {found[0]}"
    for style in sorted(SITE.rglob("*.css")):
        for found in STYLED.finditer(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(SITE)}: {found[0]}"


def copy_page(source: Path, target: Path) -> None:
    """Copy a page whose links lead to where its files are in the copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = with_links(source.read_text(encoding="utf-8"), source.parent, target.parent)
    target.write_text(text, encoding="utf-8")


def with_links(text: str, old: Path, new: Path) -> str:
    """Return a page whose links lead from a new folder to where those of an old one did."""

    def moved(link: re.Match[str]) -> str:
        if link["goal"] is None:
            return link[0]
        # A file that is not copied is one that Sphinx adds to the site, or warns of.
        goal = (old / link["goal"]).resolve()
        if goal.is_relative_to(DOCS):
            goal = COPY / goal.relative_to(DOCS)
        elif goal.is_relative_to(ROOT) and (name := str(goal.relative_to(ROOT))) in FROM_THE_ROOT:
            goal = COPY / FROM_THE_ROOT[name]
        return f"{link['opening']}{os.path.relpath(goal, new)}{link['rest']}"

    return LINK.sub(moved, text)


def write_reference() -> None:
    """Write a page for each public module, and one that lists them."""
    folder = COPY / "api"
    folder.mkdir()
    for module in MODULES:
        options = "\n".join(f"   {option}" for option in MEMBERS)
        text = f"{module}\n{'=' * len(module)}\n\n.. automodule:: {module}\n{options}\n"
        (folder / f"{module}.rst").write_text(text, encoding="utf-8")
    listed = "\n".join(MODULES)
    text = f"{ABOUT_THE_REFERENCE}\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    (folder / "index.md").write_text(text, encoding="utf-8")


def with_navigation(index: str, pages: Set[str]) -> str:
    """Return the first page with what the navigation beside all pages is made of."""
    parts = re.split(r"^## (.+)\n", index, flags=re.MULTILINE)[1:]
    sections = {
        title: LISTED.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)
    }
    sections["Reference"] += ["api/index.md"]
    listed = {page for section in sections.values() for page in section}
    if unlisted := pages - listed - {"index.md"}:
        sections["More"] = sorted(unlisted)
    trees = (
        f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(section) + "\n```\n"
        for title, section in sections.items()
        if section
    )
    return "\n".join([index, *trees])


if __name__ == "__main__":
    sys.exit(main())
