"""Every block of the pages in docs/guide is run, or held against what it is about.

The Python blocks of a page go on from each other. What one prints stands in the `text` block right
below it; one without such a block prints nothing. A block whose first line is `# name.py` is that
file too, for the commands below it.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from importing import importing_from
from millstream.cli import main

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = ROOT / "docs" / "guide"
PAGES: Final = sorted(path.relative_to(GUIDE).as_posix() for path in GUIDE.rglob("*.md"))
# With the output of a block, above which there are only empty lines.
BLOCK: Final = re.compile(
    r"^```(\w*)\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)

INSTALLERS: Final = {"pip", ".venv/bin/pip", "uv", "pipx"}
ELSEWHERE: Final = {"python", "curl"}
"""Commands that are not run here: they need a network, or what another block shows is run."""
STAYING: Final = {"dev", "serve", "exec"}
"""Commands of millstream that go on until they are ended; their options are looked at alone."""


@dataclass(frozen=True)
class Block:
    """A block of a page, and what stands right below it if that is its output."""

    kind: str
    text: str
    line: int
    output: str | None


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page but for those that show what others print."""
    text = (GUIDE / page).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(found[1], found[2], line, found[3])


def commands_of(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command of a block."""
    for line in block.text.splitlines():
        assert line.startswith("$ "), f"{line!r} is no command: outputs have blocks of their own"
        yield shlex.split(line[2:])


@pytest.fixture
def page_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give the module that the blocks of a page are run in, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    with importing_from(tmp_path):
        yield module
    # Journals that the page has opened by a path are closed with its graphs.
    module.__dict__.clear()


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_prints_what_stands_below_it(
    page: str, page_module: ModuleType, tmp_path: Path
) -> None:
    for block in blocks_of(page):
        if block.kind != "python":
            continue
        if named := re.match(r"# (\w+\.py)\n", block.text):
            (tmp_path / named[1]).write_text(block.text, encoding="utf-8")
        printed = io.StringIO()
        # Lines of a traceback are those of the page.
        source = "\n" * (block.line - 1) + block.text
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(GUIDE / page), "exec"), page_module.__dict__)

        assert printed.getvalue() == (block.output or ""), f"{page}, line {block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_all_else_on_a_page_is_what_it_is_taken_for(page: str) -> None:
    """And a kind of block that nobody looks at is refused."""
    for block in blocks_of(page):
        if block.kind == "json":
            json.loads(block.text)
        elif block.kind == "toml":
            assert_toml(block.text)
        elif block.kind == "console":
            for words in commands_of(block):
                assert_command(words)
        elif block.kind == "py":
            # Not to be run in this process: what it does is for a whole program.
            compile(block.text, page, "exec")
        else:
            # `text` that is no output is quoted: the errors are, whose messages others test.
            assert block.kind == "python" or "errors/" in page, f"{page}, line {block.line}"


def assert_toml(text: str) -> None:
    """Fail if a text is no TOML."""
    parser: Any = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    parser.loads(text)


def assert_command(words: list[str]) -> None:
    """Fail if there is no such command, or it does not know an option or an extra."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert rest[0] in targets
    elif program in INSTALLERS:
        metadata = (ROOT / "pyproject.toml").read_text("utf-8")
        named = re.findall(r"\.\[([\w,]+)\]|--extra (\w+)", " ".join(rest))
        extras = {extra for names in named for extra in ",".join(names).strip(",").split(",")}
        assert [extra for extra in extras if f"\n{extra} = [" not in metadata] == []
    elif program == "millstream":
        assert_known_options(rest)
    else:
        assert program in ELSEWHERE, f"nobody looks at {program!r}"


def assert_known_options(words: list[str]) -> None:
    """Fail if a command of millstream, or an option of one, is not there."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*words[:1], "--help"] if not words[0].startswith("-") else ["--help"])
    told = printed.getvalue()
    assert "Usage" in told
    own = words[1:] if words[0] != "exec" else []
    options = [word for word in words[:1] + own if word.startswith("-")]
    assert [option for option in options if option not in told] == []


def test_the_files_of_the_tutorial_run_from_the_command_line(
    page_module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(block for block in blocks_of("tutorial.md") if block.text.startswith("# mill.py"))
    (tmp_path / "mill.py").write_text(first.text, encoding="utf-8")
    commands = [
        words
        for block in blocks_of("tutorial.md")
        if block.kind == "console"
        for words in commands_of(block)
        if words[0] == "millstream" and words[1] not in STAYING
    ]
    assert [words[1] for words in commands] == ["run", "draw"]

    codes = [main(words[1:]) for words in commands]

    assert codes == [0, 0]
    assert "100 kg of flour" in capsys.readouterr().out
