"""A compiled graph made piece by piece, for classes that do themselves what `compile()` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from millstream.graph._builder.branches import BranchSpec
    from millstream.graph._builder.node_spec import StateNodeSpec


@dataclass(slots=True)
class Pieces:
    """What has been attached so far; looks like a builder to what assembles a graph."""

    channels: Mapping[str, Any]
    managed: Mapping[str, Any]
    schemas: Mapping[Any, Mapping[str, Any]]
    aliases: Mapping[str, str]
    input_schema: Any
    state_schema: Any
    nodes: dict[str, StateNodeSpec] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)
    waiting_edges: set[tuple[tuple[str, ...], str]] = field(default_factory=set)
    branches: dict[str, dict[str, BranchSpec]] = field(default_factory=dict)

    @classmethod
    def of(cls, builder: Any, *, is_empty: bool) -> Self:
        """Return all the pieces of a builder, or none of them."""
        pieces = cls(
            channels=builder.channels,
            managed=builder.managed,
            schemas=builder.schemas,
            aliases=builder.aliases,
            input_schema=builder.input_schema,
            state_schema=builder.state_schema,
        )
        if not is_empty:
            pieces.nodes.update(builder.nodes)
            pieces.edges |= builder.edges
            pieces.waiting_edges |= builder.waiting_edges
            pieces.branches.update((name, dict(found)) for name, found in builder.branches.items())
        return pieces

    def add_edge(self, starts: tuple[str, ...] | str, end: str) -> None:
        """Add an edge from one node, or one that waits for several."""
        if isinstance(starts, str):
            self.edges.add((starts, end))
        else:
            self.waiting_edges.add((starts, end))
