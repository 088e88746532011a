"""Graphs to be drawn, made of nothing but names."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from langchain_core.runnables.graph import Edge, Node

from millstream.constants import END, START
from millstream.pictures import DrawableGraph

Named = tuple[str, str] | tuple[str, str, str]


def graph(*edges: Named, nodes: Sequence[str] = ()) -> DrawableGraph:
    """Return a graph of `(source, target)` and, for decisions, `(source, target, label)`."""
    drawn = DrawableGraph()
    for name in [*nodes, *(name for edge in edges for name in edge[:2])]:
        drawn.nodes.setdefault(name, Node(name, name.split(":")[-1], None, None))
    for source, target, *label in edges:
        drawn.edges.append(Edge(source, target, label[0] if label else None, bool(label)))
    return drawn


AGENT = graph(
    (START, "agent"), ("agent", "tools", "call"), ("tools", "agent"), ("agent", END, "done")
)
LOOPS = graph((START, "a"), ("a", "b"), ("b", "b", "again"), ("b", "a", "back"), ("b", END, "on"))
NESTED = graph(
    (START, "plan"),
    ("plan", "work:read", "work"),
    ("plan", END, "nothing"),
    ("work:read", "work:deep:think"),
    ("work:deep:think", "work:deep:check"),
    ("work:deep:check", "work:deep:think", "again"),
    ("work:deep:check", "work:write"),
    ("work:write", "plan"),
    ("work:deep:check", "plan", "give up"),
)
EXAMPLES = {"agent": AGENT, "loops": LOOPS, "nested": NESTED, "alone": graph(nodes=["a"])}

_NAMES = ("a", "b", "c", "d", "e", "f", "in:a", "in:b", "in:c", "in:er:a", "in:er:b", "out:x")


@st.composite
def graphs(draw: st.DrawFn) -> DrawableGraph:
    """Return any graph, with cycles, edges from a node to itself, nested nodes and labels."""
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, unique=True))
    ends = st.sampled_from(names)
    plain = st.tuples(ends, ends)
    labelled = st.tuples(ends, ends, st.text(max_size=30))
    return graph(*draw(st.lists(plain | labelled, max_size=2 * len(names))), nodes=names)
