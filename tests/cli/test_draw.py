"""`millstream draw` prints the structure of a graph, or writes it into a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from millstream.cli import main


def test_mermaid_is_the_default(millstream: Any) -> None:
    outcome = millstream("draw", "graphs.py:graph")

    assert outcome.code == 0
    assert "__start__ --> add;" in outcome.out


def test_ascii_draws_boxes(millstream: Any) -> None:
    outcome = millstream("draw", "graphs:builder", "--format", "ascii")

    assert outcome.code == 0
    assert "| add |" in outcome.out


def test_xray_opens_subgraphs(millstream: Any) -> None:
    closed, opened = (
        millstream("draw", "graphs:outer"),
        millstream("draw", "graphs:outer", "--xray"),
    )

    assert "subgraph inner" not in closed.out
    assert "subgraph inner" in opened.out


def test_an_unknown_format_is_one_line(millstream: Any) -> None:
    complaint = millstream("draw", "graphs:graph", "--format", "gif").complaint

    assert "'gif' is not one of 'mermaid', 'ascii', 'svg', 'png', 'html'" in complaint


def test_svg_goes_to_stdout(millstream: Any) -> None:
    outcome = millstream("draw", "graphs:outer", "-f", "svg", "--xray")

    root = ElementTree.fromstring(outcome.out)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [e.get("data-path") for e in root.iter() if e.get("data-path")] == ["inner"]


@pytest.mark.parametrize(
    ("file", "beginning"),
    [
        ("graph.svg", b"<svg "),
        ("graph.html", b"<!DOCTYPE html>"),
        ("graph.PNG", b"\x89PNG\r\n"),
        ("graph.mmd", b"---\nconfig:"),
        ("graph.txt", b"+-------+\n| START |"),
    ],
)
def test_the_name_of_the_file_says_what_is_made(
    millstream: Any, folder: Path, file: str, beginning: bytes
) -> None:
    outcome = millstream("draw", "graphs:graph", "--output", file)

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert (folder / file).read_bytes().lstrip().startswith(beginning)


def test_a_format_counts_more_than_the_name_of_the_file(millstream: Any, folder: Path) -> None:
    outcome = millstream("draw", "graphs:graph", "-o", "graph.svg", "-f", "ascii")

    assert outcome.code == 0
    assert "| add |" in (folder / "graph.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-o", "graph"], "its name does not say what to make; end it with one of .svg, .png"),
        (["-o", "missing/graph.svg"], "cannot write it: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_made_is_one_line(
    millstream: Any, arguments: list[str], complaint: str
) -> None:
    outcome = millstream("draw", "graphs:graph", *arguments)

    assert outcome.code == 2
    assert complaint in outcome.complaint


def test_a_png_without_its_package_names_the_extra(
    millstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)

    outcome = millstream("draw", "graphs:graph", "-o", "graph.png")

    assert outcome.code == 2
    assert f"{sys.executable} -m pip install 'millstream[png]'" in outcome.complaint


@pytest.mark.long  # the lowest versions of packages are tested without LangGraph
def test_pictures_of_other_graphs_are_drawn_too(millstream: Any, folder: Path) -> None:
    (folder / "theirs.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "builder = StateGraph(MessagesState).add_node('talk', lambda state: state)\n"
        "graph = builder.add_edge(START, 'talk').compile()\n"
    )

    outcome = millstream("draw", "theirs.py:graph", "-f", "svg")

    assert 'data-source="__start__" data-target="talk"' in outcome.out


def test_a_terminal_is_not_sent_a_png(millstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    outcome = millstream("draw", "graphs:graph", "-f", "png")

    assert outcome.code == 2
    assert "name a file, --output graph.png" in outcome.complaint


@pytest.mark.usefixtures("folder")
def test_a_png_goes_to_stdout_as_it_is(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    code = main(("draw", "graphs:graph", "-f", "png"))

    out, err = capsysbinary.readouterr()
    assert (code, out[:8], err) == (0, b"\x89PNG\r\n\x1a\n", b"")
