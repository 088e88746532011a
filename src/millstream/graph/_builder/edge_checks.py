"""Whether the edges of a builder connect what there is."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any, Protocol

from millstream.constants import END, START
from millstream.graph._builder.node_spec import declarations

if TYPE_CHECKING:
    from collections.abc import Collection

    from millstream.errors import InvalidRouteError
    from millstream.graph._builder.branches import BranchSpec
    from millstream.graph._builder.node_spec import NodeDefaults, StateNodeSpec


class Wiring(Protocol):
    """The nodes that a graph is declared to have, and what leads from one to another."""

    @property
    def nodes(self) -> Mapping[str, StateNodeSpec]:
        """By name, without the default error handler."""

    @property
    def edges(self) -> Set[tuple[str, str]]:
        """From one node to another."""

    @property
    def waiting_edges(self) -> Set[tuple[tuple[str, ...], str]]:
        """From several nodes that must all have run."""

    @property
    def branches(self) -> Mapping[str, Mapping[str, BranchSpec]]:
        """Conditional edges, by the node that they start at and their names."""


def check_sources(builder: Wiring) -> None:
    """Refuse edges that start at no node, and a graph without a way in."""
    sources = {start for start, _ in builder.edges}
    sources.update(start for starts, _ in builder.waiting_edges for start in starts)
    sources.update(builder.branches)
    # Nodes whose commands lead on need no edges.
    sources.update(name for name, spec in builder.nodes.items() if spec.ends)
    unknown = sources - builder.nodes.keys() - {START}
    if unknown:
        start = min(unknown)
        raise _route_error(
            f"Found edge starting at unknown node '{start}'", start, builder.nodes, start
        )
    if START not in sources:
        raise ValueError(
            "Graph must have an entrypoint: add at least one edge from START to another node"
        )


def check_targets(builder: Wiring, defaults: NodeDefaults, default_handler: str) -> None:
    """Refuse edges that lead to no node; the default handler's start at `default_handler`."""
    known = {*builder.nodes, END}
    for source, branches in builder.branches.items():
        for name, branch in branches.items():
            for end in (branch.ends or {}).values():
                if end not in known:
                    problem = f"At '{source}' node, '{name}' branch found unknown target '{end}'"
                    raise _route_error(problem, end, builder.nodes, source)
    unknown = sorted(
        ((start, end) for start, end in builder.edges if end not in known), key=lambda e: e[::-1]
    )
    ends = {name: spec.ends for name, spec in builder.nodes.items() if spec.ends}
    if defaults.error_handler is not None:
        ends[default_handler] = declarations(defaults.error_handler)[1]
    unknown += [(name, end) for name in ends for end in ends[name] if end not in known]
    for start, end in unknown[:1]:
        problem = f"Found edge ending at unknown node `{end}`, starting at '{start}'"
        raise _route_error(problem, end, builder.nodes, start)


def _route_error(
    problem: str, target: Any, known: Collection[Any], source: str
) -> InvalidRouteError:
    # Imported with the first wrong edge: runs have such errors too.
    from millstream.drivers.routes import route_error

    return route_error(problem, target, known, source)
