"""Graphs as SVG: what is in it, and that no name becomes more than text."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables.graph import Node

from millstream.constants import END, START
from millstream.pictures import DrawableGraph
from pictures.graphs import AGENT, EXAMPLES, NESTED, graph, graphs

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg: str, kind: str) -> list[ElementTree.Element]:
    """Return the groups of a class."""
    return [
        element
        for element in ElementTree.fromstring(svg).iter(f"{SVG}g")
        if kind in element.attrib["class"].split()
    ]


def words(element: ElementTree.Element) -> str:
    return " ".join(text.text or "" for text in element.iter(f"{SVG}text"))


def test_nodes_edges_labels_and_frames_are_in_it() -> None:
    svg = NESTED.draw_svg(title="Writer")

    assert [node.get("data-node") for node in parts(svg, "ms-node")] == list(NESTED.nodes)
    assert [words(node) for node in parts(svg, "ms-node")][:3] == ["START", "plan", "read"]
    assert [
        (edge.get("data-source"), edge.get("data-target")) for edge in parts(svg, "ms-edge")
    ] == [(edge.source, edge.target) for edge in NESTED.edges]
    assert [words(label) for label in parts(svg, "ms-label")] == [
        "work",
        "nothing",
        "again",
        "give up",
    ]
    assert [frame.get("data-path") for frame in parts(svg, "ms-frame")] == ["work", "work:deep"]
    assert "<title>Writer: 7 nodes, 9 edges</title>" in svg


def test_decisions_are_dashed() -> None:
    dashed = parts(AGENT.draw_svg(), "ms-conditional")

    assert [edge.get("data-target") for edge in dashed] == ["tools", END]


def test_every_arrowhead_touches_its_target() -> None:
    for drawn in EXAMPLES.values():
        svg = drawn.draw_svg()
        boxes = {
            node.get("data-node"): [
                float(node.find(f"{SVG}rect").attrib[key])  # type: ignore[union-attr]
                for key in ("x", "y", "width", "height")
            ]
            for node in parts(svg, "ms-node")
        }
        for edge in parts(svg, "ms-edge"):
            line, head = edge.findall(f"{SVG}path")
            for path, end in ((line, "data-source"), (head, "data-target")):
                x, y, width, height = boxes[edge.get(end)]
                start = re.match(r"M([\d.-]+),([\d.-]+)", path.attrib["d"])
                assert start is not None
                at = float(start[1]), float(start[2])
                on_top = at[1] in (pytest.approx(y, abs=0.1), pytest.approx(y + height, abs=0.1))
                assert x <= at[0] <= x + width + 0.1
                assert on_top or at[0] == pytest.approx(x + width, abs=0.1)


def test_a_way_that_edges_share_is_drawn_once() -> None:
    many = [f"n{number}" for number in range(30)]

    edges = parts(graph(*(("hub", name) for name in many)).draw_svg(), "ms-edge")

    pieces = [
        piece
        for edge in edges
        for path in edge.findall(f"{SVG}path[@class='ms-line']")
        for piece in re.findall(r"L\S+ C\S+ \S+ \S+", path.attrib["d"])
    ]
    assert len(pieces) == len(set(pieces)) > len(many)


@pytest.mark.parametrize("scheme", ["auto", "light", "dark"])
def test_colours_are_those_that_are_asked_for(scheme: str) -> None:
    svg = AGENT.draw_svg(scheme=scheme)  # type: ignore[arg-type]

    assert ("prefers-color-scheme: dark" in svg) == (scheme == "auto")
    assert ("#ffffff" in svg) == (scheme != "dark")
    assert ("#14181d" in svg) == (scheme != "light")


def test_pictures_of_one_page_keep_their_colours() -> None:
    light, dark = AGENT.draw_svg(scheme="light"), AGENT.draw_svg(scheme="dark")

    for svg, scheme in ((light, "light"), (dark, "dark")):
        document = ElementTree.fromstring(svg)
        rules = document.findtext(f"{SVG}style") or ""
        colours = re.findall(r"([^\s{}]+) [^{}]*\{[^{}]*#[^{}]*\}", rules)
        assert f"ms-{scheme}" in document.attrib["class"].split()
        assert len(colours) > 5
        assert set(colours) == {f".ms-{scheme}"}


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="no scheme 'Dark'; give one of 'auto', 'light', 'dark'"):
        AGENT.draw_svg(scheme="Dark")  # type: ignore[arg-type]


HOSTILE = (
    "<script>alert(1)</script>",
    "\"' onload='x",
    "]]> &amp; <!--",
    "</title></style></svg>",
    "\x00\x1b[31m\u202e\ud800\uffff",
    "{canvas} {0} %s",
    "a\nb\tc",
    "",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_whatever_it_says(name: str) -> None:
    drawn = graph((START, name, name), (name, f"in:{name}", name), (name, name, name))
    drawn.nodes[name] = Node(name, name, None, {"why": name, name: "because", "defer": True})

    documents = [drawn.draw_svg(title=name), drawn.draw_html(title=name)]

    for document in documents:
        svg = document[document.index("<svg") : document.index("</svg>\n") + 6]
        tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "title", "style", "rect", "g", "path", "text"}
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", document)
        assert "<script" not in document
        assert "&lt;script&gt;" in document or "script" not in name
        document.encode()


@given(drawn=graphs(), title=st.text())
@settings(max_examples=20, deadline=None)
def test_any_graph_is_well_formed(drawn: DrawableGraph, title: str) -> None:
    svg = drawn.draw_svg(title=title)

    assert len(parts(svg, "ms-node")) == len(drawn.nodes)
    assert len(parts(svg, "ms-edge")) == len(drawn.edges)


def test_a_graph_without_nodes_is_an_empty_picture() -> None:
    assert parts(graph().draw_svg(), "ms-node") == []


def test_what_metadata_say_stands_below_the_name() -> None:
    drawn = graph(nodes=["a"])
    metadata = {
        "__interrupt": "before,after",
        "__tools": ["search", "sum"],
        "owner": "x" * 80,
        "object": object(),
        "defer": True,
    }
    drawn.nodes["a"] = Node("a", "a", None, metadata)

    [node] = parts(drawn.draw_svg(), "ms-node")

    assert [text.text for text in node.iter(f"{SVG}text")] == [
        "a",
        "pauses before and after",
        "tools: search, sum",
        f"owner = {'x' * 25}…",
        "waits for all others",
    ]


def test_long_names_are_wrapped_and_shortened() -> None:
    name = "a_rather_long_name_of_a_node_" * 4

    [node] = parts(graph(nodes=[name]).draw_svg(), "ms-node")

    lines = [text.text or "" for text in node.iter(f"{SVG}text")]
    assert lines[0] == "a_rather_long_name_of_a_"
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert node.find(f"{SVG}title").text == name  # type: ignore[union-attr]


def test_a_page_has_the_picture_and_its_source_and_loads_nothing() -> None:
    page = AGENT.draw_html(title="Agent")

    assert "<h1>Agent</h1>" in page
    assert "default-src 'none'" in page
    assert "agent -. &amp;nbsp;call&amp;nbsp; .-&gt; tools;" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.long
def test_no_hash_seed_changes_a_picture() -> None:
    digest = hashlib.sha256(NESTED.draw_svg().encode()).hexdigest()
    program = (
        "import hashlib; from pictures.graphs import NESTED;"
        "print(hashlib.sha256(NESTED.draw_svg().encode()).hexdigest())"
    )
    tests = str(Path(__file__).parents[1])

    process = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        check=True,
    )

    assert process.stdout.strip() == digest
