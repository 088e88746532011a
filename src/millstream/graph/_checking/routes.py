"""Checks of where runs go: nodes that never run, names of no node, loops without a way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from millstream.constants import END, START
from millstream.graph._checking.findings import Finding, finding, listed, meant
from millstream.graph._checking.reading import Reading
from millstream.graph._checking.results import Route
from millstream.graph._checking.structure import Node, Path, Structure, is_named


def check_routes(structure: Structure) -> Iterator[Finding]:
    """Yield what is wrong with the edges, paths and commands of a graph."""
    if structure.builder is None:
        return
    wrong = wrong_routes(structure)
    reached = reachable(structure)
    joins = [*_dead_joins(structure, reached)]
    waited = {start for starts, _ in structure.builder.waiting_edges for start in starts}
    for name, lost in unreachable(structure, reached):
        # Where a name is wrong, the node that is meant is not the one that is to be mended.
        if not wrong and (not joins or name not in waited):
            yield lost
    yield from joins
    yield from wrong
    for paths in structure.paths.values():
        for path in paths:
            yield from _answers(path)
    yield from _endless_loops(structure, reached)
    yield from _edges_beside_choices(structure)
    yield from _doubtful_joins(structure)


def reachable(structure: Structure) -> set[str]:
    """Return the nodes that may run, as far as routes are declared or seen."""
    reached: set[str] = set()
    pending = [START]
    while pending:
        name = pending.pop()
        if name in reached or name not in structure.onwards:
            continue
        reached.add(name)
        onwards = structure.onwards[name]
        pending += [target for target in onwards.targets if isinstance(target, str)]
        pending += [
            end for starts, end in onwards.joins if all(start in reached for start in starts)
        ]
    return reached


def is_open(structure: Structure, reached: Collection[str]) -> bool:
    """Say whether something that runs leads where nobody declared."""
    return any(structure.onwards[name].is_open for name in reached)


def is_doubtful(structure: Structure, reached: Collection[str]) -> bool:
    """Say whether something that runs may return commands that cannot be seen."""
    return any(structure.onwards[name].is_doubtful for name in reached)


def unreachable(structure: Structure, reached: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """Yield the nodes that never run, without those that only come behind one of them."""
    if is_open(structure, reached):
        return
    lost = [name for name in structure.nodes if name not in reached and is_named(name)]
    joined = {end for starts, end in structure.builder.waiting_edges}
    behind = {
        target
        for name in lost
        for target in structure.onwards[name].targets
        if target != name and not _lead_to_each_other(structure, name, target)
    }
    is_sure = not is_doubtful(structure, reached)
    for name in lost:
        if name in behind or name in joined:
            continue
        hidden = "" if is_sure else " that can be seen"
        found = finding(
            "unreachable-node",
            f"node {name!r} never runs: no edge, path or command{hidden} leads to it from START",
            f"add an edge to {name!r}, or remove it",
            structure.nodes[name].place,
            is_sure=is_sure,
        )
        yield name, found


def _lead_to_each_other(structure: Structure, first: str, second: str) -> bool:
    """Say whether nodes are a circle, of which none is behind the other."""
    return second in structure.onwards and first in _behind(structure, second)


def _behind(structure: Structure, start: str) -> set[str]:
    found: set[str] = set()
    pending = [start]
    while pending:
        name = pending.pop()
        for target in structure.onwards[name].targets if name in structure.onwards else ():
            if target not in found:
                found.add(target)
                pending.append(target)
    return found


def _dead_joins(structure: Structure, reached: Collection[str]) -> Iterator[Finding]:
    if is_open(structure, reached):
        return
    for starts, end in sorted(structure.builder.waiting_edges):
        missing = [start for start in starts if start not in reached]
        if missing and len(missing) < len(starts):
            yield finding(
                "dead-join",
                f"the edge from {listed(starts)} to {end!r} is never taken: it waits for "
                f"{listed(missing)}, and no edge, path or command leads there",
                f"add an edge to {listed(missing)}, or wait for the others alone",
                structure.nodes[missing[0]].place,
                is_sure=not is_doubtful(structure, reached),
            )


def wrong_routes(structure: Structure) -> list[Finding]:
    """Return the commands, answers and sends that name no node."""
    return [*_unknown_nodes(structure)]


def _unknown_nodes(structure: Structure) -> Iterator[Finding]:
    known = {*structure.nodes, END}
    for node in structure.nodes.values():
        for reading, result in node.results:
            for route in result.routes:
                if not _is_known(route, known):
                    yield _unknown_node(f"node {node.name!r}", route, known, reading)
    for path in (path for paths in structure.paths.values() for path in paths):
        for route in path.routes:
            # What a path map leads to has been checked by `compile`.
            if not _is_known(route, known) and (path.ends is None or route.is_send):
                who = f"path {path.name!r} after {path.source!r}"
                yield _unknown_node(who, route, known, path.reading)


def _is_known(route: Route, known: Collection[str]) -> bool:
    return route.target in known or (route.is_send and route.target == START)


def _unknown_node(who: str, route: Route, known: Collection[str], reading: Reading) -> Finding:
    names = [name for name in known if is_named(name)]
    return finding(
        "unknown-node",
        f"{who} leads to {route.target!r}, which is no node of the graph",
        meant(route.target, names, f"the nodes are {listed(sorted(names))}"),
        reading.at(route.line),
        is_sure=not reading.is_closure,
    )


def _answers(path: Path) -> Iterator[Finding]:
    """Check what a path answers against its map."""
    if path.ends is None:
        return
    answers = [answer for answer in path.reading.answers if not answer.is_send]
    for answer in answers:
        if answer.target not in path.ends:
            yield finding(
                "unmapped-answer",
                f"path {path.name!r} after {path.source!r} answers {answer.target!r}, which its "
                "path map does not have",
                meant(answer.target, [str(end) for end in path.ends], "add it to the path map"),
                path.reading.at(answer.line),
                is_sure=not path.reading.is_closure,
            )
    given = {answer.target for answer in answers}
    unused = [end for end in path.ends if end not in given]
    is_all = path.reading.is_seen and path.reading.are_answers_all and given
    if is_all and unused:
        yield finding(
            "unused-answer",
            f"path {path.name!r} after {path.source!r} may lead to {listed(unused)}, as it is "
            "declared, and its code never answers so",
            "remove it from the path map or the annotation, or answer it",
            path.reading.place,
        )


def _endless_loops(structure: Structure, reached: Collection[str]) -> Iterator[Finding]:
    """Yield loops that a run cannot leave, each once."""
    graph = structure.graph
    stops = {
        *getattr(graph, "interrupt_before_nodes", ()),
        *getattr(graph, "interrupt_after_nodes", ()),
    }
    if "*" in stops:
        return
    ending = _ending(structure, stops)
    caught = [name for name in structure.nodes if name in reached and name not in ending]
    told: set[str] = set()
    for name in caught:
        circle = _behind(structure, name)
        if name not in circle or name in told:
            continue
        loop = [other for other in caught if other in circle and name in _behind(structure, other)]
        told |= {*loop}
        yield finding(
            "endless-loop",
            f"a run that comes to {listed(loop)} goes round until the recursion limit: nothing "
            "leads out of the loop to END",
            "add a conditional edge that ends, instead of an edge that is always taken",
            structure.nodes[name].place,
        )


def _ending(structure: Structure, stops: Collection[str]) -> set[str]:
    """Return the nodes after which a run may come to its end.

    Static edges are all taken, so that each must lead to an end; of choices one is enough.
    """
    ending = {END}
    # What is no node fails the run, which is told elsewhere.
    ending.update(*(onwards.choices for onwards in structure.onwards.values()))
    ending -= {*structure.nodes}
    changed = True
    while changed:
        changed = False
        for name, onwards in structure.onwards.items():
            if name in ending:
                continue
            node = structure.nodes.get(name)
            may_stop = name in stops or onwards.is_open or (node is not None and node.may_stop)
            is_over = all(end in ending for end in onwards.static) and (
                not onwards.choices or not ending.isdisjoint(onwards.choices)
            )
            if may_stop or is_over:
                ending.add(name)
                changed = True
    return ending


def _edges_beside_choices(structure: Structure) -> Iterator[Finding]:
    for name, node in structure.nodes.items():
        static = [end for end in structure.onwards[name].static if end != END]
        commanded = {route.target for _, result in node.results for route in result.routes}
        if not static:
            continue
        paths = structure.paths.get(name, [])
        chosen = commanded.union(*(path.targets for path in paths))
        for end in (end for end in static if end in chosen):
            yield finding(
                "redundant-edge",
                f"an edge leads from {name!r} to {end!r} in any case, and a path or command of "
                f"{name!r} may lead there too, which changes nothing",
                "remove the edge, or the other way",
                node.place,
            )
        if END in commanded:
            yield _end_beside_edge(name, static, node)


def _end_beside_edge(name: str, static: list[str], node: Node) -> Finding:
    return finding(
        "end-beside-edge",
        f"a command of {name!r} goes to END, and the run goes on all the same: an edge leads to "
        f"{listed(static)} in any case",
        "have commands lead there too, and remove the edge",
        node.place,
    )


def _doubtful_joins(structure: Structure) -> Iterator[Finding]:
    """Yield edges that wait for nodes of which a path takes one or the other."""
    incoming: dict[str, set[str]] = {}
    for name, onwards in structure.onwards.items():
        for target in (*onwards.targets, *(end for _, end in onwards.joins)):
            incoming.setdefault(target, set()).add(name)
    for starts, end in sorted(structure.builder.waiting_edges):
        for source, paths in structure.paths.items():
            for path in () if structure.onwards[source].static else paths:
                either = [start for start in starts if incoming.get(start) == {source}]
                if len(either) < 2 or not _takes_one(path, either):
                    continue
                yield finding(
                    "doubtful-join",
                    f"the edge from {listed(starts)} to {end!r} waits for all of them, and path "
                    f"{path.name!r} after {source!r} takes only one of {listed(either)}",
                    f"add an edge to {end!r} from each of them",
                    path.reading.place,
                )


def _takes_one(path: Path, names: Collection[str]) -> bool:
    reading = path.reading
    return (
        reading.is_seen
        and reading.are_answers_all
        and all(answer.is_alone for answer in reading.answers)
        and {*names} <= path.targets
    )
