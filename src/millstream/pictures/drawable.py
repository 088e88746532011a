"""Graphs that draw themselves: LangChain's, with pictures that are made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

from langchain_core.runnables.graph import (
    CurveStyle,
    Graph,
    LabelsDict,
    MermaidDrawMethod,
    NodeStyles,
)

from millstream.pictures.svg import Scheme


class DrawableGraph(Graph):
    """The nodes and edges of a graph, to be drawn: what `get_graph()` returns.

    In a notebook it shows itself. Nothing of it needs a network; `draw_mermaid_png` asks one only
    when it is told to, or when PNG cannot be drawn here.
    """

    @classmethod
    def of(cls, graph: Graph) -> DrawableGraph:
        """Return a graph, say one of LangChain's runnables or of LangGraph, as one of these."""
        return graph if isinstance(graph, cls) else cls(graph.nodes, graph.edges)

    def draw_svg(self, *, scheme: Scheme = "auto", title: str = "Graph") -> str:
        """Return the picture as SVG.

        Args:
            scheme: Its colours: "auto" for those that whoever looks at it prefers (CSS
                `prefers-color-scheme`), else "light" or "dark".
            title: What screen readers call it.

        Raises:
            ValueError: There is no such scheme.

        Example:
            >>> Path("graph.svg").write_text(graph.get_graph().draw_svg())
        """
        from millstream.pictures.svg import svg

        return svg(self, scheme=scheme, title=title)

    def draw_html(self, *, title: str = "Graph") -> str:
        """Return a page with the picture and its Mermaid source, which needs no other file.

        Args:
            title: Its heading.

        Example:
            >>> Path("graph.html").write_text(graph.get_graph(xray=True).draw_html())
        """
        from millstream.pictures.html import html

        return html(self, title=title)

    def draw_ascii(self) -> str:
        """Return the picture in lines of characters.

        Edges that a decision takes are drawn with `:` and `.`, the others with `|` and `-`.

        Example:
            >>> print(graph.get_graph().draw_ascii())
        """
        from millstream.pictures.characters import characters

        return characters(self)

    @overload
    def draw_png(
        self,
        output_file_path: str,
        fontname: str | None = None,
        labels: LabelsDict | None = None,
        *,
        scheme: Scheme = "light",
        scale: float = 2.0,
    ) -> None: ...
    @overload
    def draw_png(
        self,
        output_file_path: None = None,
        fontname: str | None = None,
        labels: LabelsDict | None = None,
        *,
        scheme: Scheme = "light",
        scale: float = 2.0,
    ) -> bytes: ...
    def draw_png(
        self,
        output_file_path: str | None = None,
        fontname: str | None = None,
        labels: LabelsDict | None = None,
        *,
        scheme: Scheme = "light",
        scale: float = 2.0,
    ) -> bytes | None:
        """Draw the picture as PNG, here.

        Args:
            output_file_path: Where to write it; it is returned if this is None.
            fontname: A typeface for the names.
            labels: Other names of nodes, by their ids, and other labels of edges, by what they are.
            scheme: Its colours, "light" or "dark".
            scale: How many pixels a unit of the SVG has.

        Raises:
            PngMissingError: The extra `millstream[png]` is not installed.
            NoFontError: The machine has no usual typeface.
            ValueError: There is no such scheme, or `scale` is not above zero.
        """
        from millstream.pictures.png import png
        from millstream.pictures.svg import FACES, svg

        graph = self if labels is None else _relabelled(self, labels)
        faces = FACES if fontname is None else f"{fontname}, {FACES}"
        picture = svg(graph, scheme=scheme, faces=faces)
        return _kept(png(picture, scale=scale), output_file_path)

    def draw_mermaid_png(
        self,
        *,
        curve_style: CurveStyle = CurveStyle.LINEAR,
        node_colors: NodeStyles | None = None,
        wrap_label_n_words: int = 9,
        output_file_path: str | None = None,
        draw_method: MermaidDrawMethod | None = None,
        background_color: str = "white",
        padding: int = 10,
        max_retries: int = 1,
        retry_delay: float = 1.0,
        frontmatter_config: dict[str, Any] | None = None,
        base_url: str | None = None,
        proxies: dict[str, str] | None = None,
    ) -> bytes:
        """Draw the picture as PNG: here, unless Mermaid itself is asked for.

        With a `draw_method`, a `base_url` or `proxies`, LangChain has Mermaid draw it: the first
        by a service in the network (mermaid.ink, if no other is named), which is told the names in
        the graph. So it does where the extra `millstream[png]` is not installed, or where the
        machine has no usual typeface. What the other arguments say of Mermaid's drawing counts then
        alone.

        Args:
            curve_style: How Mermaid bends lines.
            node_colors: Mermaid's colours.
            wrap_label_n_words: Words in a line of a label.
            output_file_path: Where to write it, too.
            draw_method: Who draws it; None for a picture that is made here.
            background_color: What is behind it.
            padding: Pixels around it.
            max_retries: How often a service is asked.
            retry_delay: Seconds in between.
            frontmatter_config: Mermaid's configuration.
            base_url: Another service.
            proxies: Ways to it.
        """
        from millstream.pictures.png import is_possible, png
        from millstream.pictures.svg import svg

        is_asked = draw_method is not None or base_url is not None or proxies is not None
        if not is_asked and is_possible():
            drawn = png(svg(self, scheme="light", canvas=background_color))
            _kept(drawn, output_file_path)
            return drawn
        return super().draw_mermaid_png(
            curve_style=curve_style,
            node_colors=node_colors,
            wrap_label_n_words=wrap_label_n_words,
            output_file_path=output_file_path,
            draw_method=draw_method or MermaidDrawMethod.API,
            background_color=background_color,
            padding=padding,
            max_retries=max_retries,
            retry_delay=retry_delay,
            frontmatter_config=frontmatter_config,
            base_url=base_url,
            proxies=proxies,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return (self.nodes, self.edges) == (other.nodes, other.edges)

    __hash__ = None  # type: ignore[assignment]  # as LangChain's, which may be added to

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.nodes)} nodes, {len(self.edges)} edges>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Show the graph in a notebook, whatever that can show."""
        return self.bundle(repr(self))

    def bundle(self, text: str, *, title: str = "Graph") -> dict[str, Any]:
        """Return the picture in the forms of which a notebook takes one; `text` is the plainest."""
        return {
            "text/plain": text,
            "image/svg+xml": self.draw_svg(title=title),
            "text/vnd.mermaid": self.draw_mermaid(),
        }


def _relabelled(graph: Graph, labels: LabelsDict) -> Graph:
    nodes = {id: node.copy(name=labels["nodes"].get(id)) for id, node in graph.nodes.items()}
    edges = [
        edge._replace(data=labels["edges"].get(str(edge.data), edge.data)) for edge in graph.edges
    ]
    return Graph(nodes, edges)


def _kept(picture: bytes, path: str | None) -> bytes | None:
    """Write a picture where that is asked for; else return it."""
    if path is None:
        return picture
    Path(path).write_bytes(picture)
    return None
