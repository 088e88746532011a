"""What is wrong with a graph, found without running it: for tests, and for tools.

`millstream check` prints the same. docs/checks.md explains each code.
"""

from __future__ import annotations

from typing import Any, Final

from millstream.graph._checking.checks import check_graph
from millstream.graph._checking.findings import SEVERITIES, Finding, Place, Severity

__all__ = ("CODES", "Finding", "Place", "check")

CODES: Final[dict[str, Severity]] = SEVERITIES
"""Every code that a finding may have, and how bad it is where it is certain."""


def check(graph: Any) -> list[Finding]:
    """Return what is wrong with a compiled graph and with the graphs that its nodes are.

    No node is run. What nodes return, read and call is read from their source, where it can be
    had; what cannot be seen there is taken to be right. A comment `# millstream: ignore[code]` in
    the line of a finding leaves it out.

    Args:
        graph: A compiled graph, also that of an `@entrypoint`.

    Raises:
        TypeError: `graph` is no compiled graph.

    Example:
        >>> from typing_extensions import TypedDict
        >>> from millstream.graph import START, StateGraph
        >>> class State(TypedDict):
        ...     sacks: int
        >>> builder = StateGraph(State).add_node("grind", lambda state: {"sacks": 0})
        >>> _ = builder.add_node("rest", lambda state: {"sacks": 1})
        >>> [finding.code for finding in check(builder.add_edge(START, "grind").compile())]
        ['unreachable-node']
    """
    if not hasattr(graph, "nodes") or not hasattr(graph, "channels"):
        raise TypeError(
            f"Expected a compiled graph, got {type(graph).__name__}: call `compile()` of a builder"
        )
    return check_graph(graph)
