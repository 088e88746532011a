"""Which deferred nodes go first when several are due: those that may lead to others.

Where nodes lead to each other, the way that the graph is first walked decides: the edge that closes
a circle leads back, not on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence


def predecessors(
    deferred: Sequence[str], edges: Mapping[str, Sequence[str]], unsure: Collection[str]
) -> dict[str, frozenset[str]]:
    """Return, of each deferred node, the deferred nodes that go first.

    `edges` has the ends of all that is declared, by node; nodes that are `unsure` may lead anywhere
    besides. Nothing goes before what may lead to it only by a way that nobody declared, if it may
    lead back.
    """
    onwards = _without_circles(edges)
    possible = {**edges, **dict.fromkeys(unsure, tuple(edges))}
    declared = {name: _reachable(name, onwards) for name in deferred}
    conceivable = {name: _reachable(name, possible) for name in deferred}

    def goes_first(first: str, name: str) -> bool:
        # If both may lead to each other nothing can be said, and neither waits.
        may_lead = name in conceivable[first] and first not in conceivable[name]
        return name in declared[first] or may_lead

    return {
        name: frozenset(other for other in deferred if other != name and goes_first(other, name))
        for name in deferred
    }


def _without_circles(edges: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the edges without those that lead back to where one came from."""
    kept: dict[str, list[str]] = {name: [] for name in edges}
    on_the_way: dict[str, bool] = {}
    for start in edges:
        # By hand and not by recursion: graphs may have thousands of nodes in a row.
        way: list[tuple[str, Iterator[str]]] = []
        if start not in on_the_way:
            on_the_way[start] = True
            way.append((start, iter(edges[start])))
        while way:
            name, ends = way[-1]
            for end in ends:
                # It leads back to where we came from; False is a node that is done, to which many
                # may lead.
                if on_the_way.get(end):
                    continue
                kept[name].append(end)
                if end not in on_the_way:
                    on_the_way[end] = True
                    way.append((end, iter(edges[end])))
                    break
            else:
                on_the_way[name] = False
                way.pop()
    return kept


def _reachable(start: str, edges: Mapping[str, Sequence[str]]) -> set[str]:
    reached: set[str] = set()
    pending = list(edges[start])
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += edges[name]
    return reached
