"""What the pages of the guide run is replayed as it was: each stream, and each result."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import millstream
from importing import importing_from
from millstream.pregel import Pregel

GUIDE: Final = Path(__file__).parents[2] / "docs" / "guide"
LEFT_OUT: Final = {
    "deployment.md": "starts a server, and runs nothing here",
    "errors/INVALID_CHAT_HISTORY.md": "no run of it has an end",
    "glossary.md": "runs nothing",
    "install.md": "runs nothing",
    "timeouts.md": "no run of it has an end",
    "tools.md": "its fake model cannot be streamed, as a run that is recorded does",
    "troubleshooting.md": "runs nothing",
}
PAGES: Final = sorted(
    {path.relative_to(GUIDE).as_posix() for path in GUIDE.rglob("*.md")} - LEFT_OUT.keys()
)
BLOCK: Final = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OF_TOOLS: Final = re.compile(r"(ToolMessage\((?:(?! id=)[^()])*), id='[^']*'")
"""Ids of tools' messages, which are given one after they were told."""
CHOICES: Final = ("stream_mode", "subgraphs", "version")


class Recorded:
    """Records whatever graphs run, and compares it with its replay."""

    def __init__(self) -> None:
        self.compared = 0
        self._stream, self._astream = Pregel.stream, Pregel.astream
        self._invoke, self._ainvoke = Pregel.invoke, Pregel.ainvoke

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the graphs of a page call these instead of their own."""
        recorded = self

        def stream(self: Any, *args: Any, **given: Any) -> Iterator[Any]:
            return recorded.read(self, args, given)

        def astream(self: Any, *args: Any, **given: Any) -> AsyncIterator[Any]:
            return recorded.aread(self, args, given)

        def invoke(self: Any, *args: Any, **given: Any) -> Any:
            found = recorded._invoke(self, *args, **given, record=(file := io.BytesIO()))
            recorded.compare([found], [millstream.replay(file, graph=self).invoke()])
            return found

        async def ainvoke(self: Any, *args: Any, **given: Any) -> Any:
            found = await recorded._ainvoke(self, *args, **given, record=(file := io.BytesIO()))
            recorded.compare([found], [millstream.replay(file, graph=self).invoke()])
            return found

        for function in (stream, astream, invoke, ainvoke):
            monkeypatch.setattr(Pregel, function.__name__, function)
        # As the engine's own: where they are replaced, all else goes through them.
        monkeypatch.setattr(Pregel, "_own_stream", stream)
        monkeypatch.setattr(Pregel, "_own_astream", astream)

    def read(self, graph: Any, args: Any, given: Any) -> Iterator[Any]:
        """Yield what a graph says, and then look whether its replay says the same."""
        live, file = [], io.BytesIO()
        for item in self._stream(graph, *args, **given, record=file):
            live.append(item)
            yield item
        self.compare(live, self.shown(graph, file, given))

    async def aread(self, graph: Any, args: Any, given: Any) -> AsyncIterator[Any]:
        """Yield what a graph says, and then look whether its replay says the same."""
        live, file = [], io.BytesIO()
        async for item in self._astream(graph, *args, **given, record=file):
            live.append(item)
            yield item
        self.compare(live, self.shown(graph, file, given))

    def shown(self, graph: Any, file: io.BytesIO, given: Any) -> list[Any]:
        """Return what a replay says, in the form in which the graph was read."""
        chosen = {name: given[name] for name in CHOICES if name in given}
        return list(millstream.replay(file, graph=graph).stream(**chosen))

    def compare(self, live: list[Any], shown: list[Any]) -> None:
        """Fail if what is shown is something else than what was said."""
        self.compared += 1
        assert [OF_TOOLS.sub(r"\1", repr(item)) for item in shown] == [
            OF_TOOLS.sub(r"\1", repr(item)) for item in live
        ]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_runs_is_replayed_as_it_was(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    recorded = Recorded()
    recorded.install(monkeypatch)
    blocks = BLOCK.findall((GUIDE / page).read_text(encoding="utf-8"))

    with importing_from(tmp_path), contextlib.redirect_stdout(io.StringIO()):
        for block in blocks:
            if named := re.match(r"# (\w+\.py)\n", block):
                (tmp_path / named[1]).write_text(block, encoding="utf-8")
            exec(compile(block, page, "exec"), module.__dict__)
    # Journals that the page has opened by a path are closed with its graphs.
    module.__dict__.clear()

    assert recorded.compared > 0


def test_pages_that_are_left_out_are_there() -> None:
    assert [page for page in LEFT_OUT if not (GUIDE / page).is_file()] == []
