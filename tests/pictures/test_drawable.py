"""Graphs that draw themselves."""

from __future__ import annotations

import pickle
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables import graph as langchain
from langchain_core.runnables.graph import Graph, MermaidDrawMethod
from typing_extensions import TypedDict

from millstream.constants import START
from millstream.func import entrypoint
from millstream.graph import StateGraph
from millstream.pictures import DrawableGraph
from millstream.pictures.png import NoFontError, PngMissingError, png
from pictures.graphs import AGENT, NESTED, graph


class State(TypedDict):
    x: int


def add(state: State) -> State:
    return state


def compiled() -> Any:
    return StateGraph(State).add_node(add).add_edge(START, "add").compile(name="Sum")


def size(data: bytes) -> tuple[int, int]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"connects to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_notebook_shows_a_compiled_graph_as_a_picture() -> None:
    bundle = compiled()._repr_mimebundle_(include=None, exclude=None)

    assert list(bundle) == ["text/plain", "image/svg+xml", "text/vnd.mermaid"]
    assert bundle["image/svg+xml"].startswith("<svg ")
    assert "<title>Sum: 3 nodes, 2 edges</title>" in bundle["image/svg+xml"]
    assert "add --> __end__;" in bundle["text/vnd.mermaid"]


def test_a_notebook_shows_the_drawing_itself_too() -> None:
    bundle = NESTED._repr_mimebundle_()

    assert bundle["text/plain"] == "<DrawableGraph: 7 nodes, 9 edges>"
    assert bundle["image/svg+xml"] == NESTED.draw_svg()


def test_graphs_of_functions_are_drawn() -> None:
    @entrypoint()
    def work(x: int) -> int:
        return x

    assert "| work |" in work.get_graph().draw_ascii()


def test_a_drawing_equals_langchains() -> None:
    assert DrawableGraph(AGENT.nodes, AGENT.edges) == Graph(AGENT.nodes, AGENT.edges)
    assert Graph(AGENT.nodes, AGENT.edges) == DrawableGraph(AGENT.nodes, AGENT.edges)
    assert graph() != "graph"
    assert pickle.loads(pickle.dumps(AGENT)) == AGENT


def test_langchains_graphs_can_be_drawn() -> None:
    chain = RunnableLambda(lambda x: x, name="first") | RunnableLambda(lambda x: x, name="second")

    text = DrawableGraph.of(chain.get_graph()).draw_ascii()

    assert "| first |" in text
    assert "| second |" in text


@pytest.mark.usefixtures("no_network")
def test_png_is_drawn_here(tmp_path: Path) -> None:
    small, large = AGENT.draw_png(scale=1), AGENT.draw_png(scale=2)
    kept = AGENT.draw_png(str(tmp_path / "graph.png"))

    assert [2 * pixels for pixels in size(small)] == pytest.approx(size(large), abs=2)
    assert kept is None
    assert (tmp_path / "graph.png").read_bytes() == large
    assert AGENT.draw_png(scheme="dark") != large


def test_png_takes_other_names_and_typefaces() -> None:
    labels = langchain.LabelsDict(
        nodes={"agent": "an agent with a long name"}, edges={"call": "go on"}
    )

    named, plain = AGENT.draw_png(labels=labels), AGENT.draw_png()

    assert size(named) > size(plain)
    assert AGENT.draw_png(fontname="No Such Face") == plain


@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_png_of_no_size_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=f"scale must be above zero, not {scale}"):
        AGENT.draw_png(scale=scale)


@pytest.mark.usefixtures("no_network")
def test_mermaids_png_is_drawn_here_unless_mermaid_is_asked(tmp_path: Path) -> None:
    drawn = AGENT.draw_mermaid_png(output_file_path=str(tmp_path / "graph.png"))

    assert size(drawn) == size(AGENT.draw_png())
    assert (tmp_path / "graph.png").read_bytes() == drawn
    assert AGENT.draw_mermaid_png(background_color="#00ff00") != drawn


@pytest.mark.parametrize(
    "asked",
    [
        {"draw_method": MermaidDrawMethod.API},
        {"base_url": "http://mermaid.test"},
        {"proxies": {"http": "http://proxy.test"}},
    ],
    ids=str,
)
def test_who_asks_for_mermaid_gets_it(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    calls = record_mermaid(monkeypatch)

    assert AGENT.draw_mermaid_png(**asked) == b"theirs"
    assert calls == [{"draw_method": MermaidDrawMethod.API, **asked}]


def test_without_the_extra_mermaid_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_mermaid(monkeypatch)
    monkeypatch.setitem(sys.modules, "resvg_py", None)

    assert AGENT.draw_mermaid_png() == b"theirs"
    assert calls == [{"draw_method": MermaidDrawMethod.API}]


def test_without_a_typeface_mermaid_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_mermaid(monkeypatch)
    monkeypatch.setitem(sys.modules, "resvg_py", Blind)

    assert AGENT.draw_mermaid_png() == b"theirs"
    assert calls == [{"draw_method": MermaidDrawMethod.API}]


class Blind:
    """Draws, and finds no typeface."""

    @staticmethod
    def svg_to_bytes(*, svg_string: str) -> bytes:
        return b"nothing"


def record_mermaid(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have LangChain ask nobody, and keep what it would have said."""
    calls = []

    def draw(self: Graph, **given: Any) -> bytes:
        keys = ("draw_method", "base_url", "proxies")
        calls.append({key: given[key] for key in keys if given[key] is not None})
        return b"theirs"

    monkeypatch.setattr(Graph, "draw_mermaid_png", draw)
    return calls


def test_png_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)

    with pytest.raises(PngMissingError, match=r"pip install 'millstream\[png\]'") as caught:
        AGENT.draw_png()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_names_without_a_typeface_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", Blind)

    with pytest.raises(NoFontError, match="fonts-dejavu-core") as caught:
        AGENT.draw_png()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_huge_png_has_fewer_pixels() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="100"/>'

    assert size(png(svg, scale=3)) == (1200, 300)
    assert size(png(svg, scale=3, pixels=10_000)) == (200, 50)
