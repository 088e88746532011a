"""Pictures of graphs: SVG, HTML, PNG and characters, made here and without a network.

`drawable` has the class that `get_graph()` returns. `nesting` arranges a graph, nested ones as
frames, one level of nesting at a time: `ranking` gives every node its row, `ordering` its place in
the row, `placing` its position, `routing` leads lines through the gaps between rows. `arranged` is
what comes out. `measures` says how large things are, `texts` how wide words are and what is said of
a node; `svg`, `html`, `characters` and `png` write it down.

Nothing here runs a graph, or knows what a compiled one is: it needs nodes and edges, as LangChain
has them. Everything is decided by their order, so the same graph gives the same picture. Names and
labels are anybody's text: each writer escapes what it writes.
"""

from millstream.pictures.drawable import DrawableGraph

__all__ = ("DrawableGraph",)
