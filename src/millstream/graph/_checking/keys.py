"""Checks of the state: keys that nobody has, results that are none, values that get lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations

from typing_extensions import is_typeddict

from millstream._base.state_classes import class_of
from millstream.channels.last_value import LastValue
from millstream.constants import END, START
from millstream.drivers.routes import nearest_names
from millstream.graph._checking.findings import Finding, finding, meant
from millstream.graph._checking.reading import Read, Reading
from millstream.graph._checking.sources import Sources
from millstream.graph._checking.structure import Node, Path, Structure, is_named


def check_keys(structure: Structure, sources: Sources) -> Iterator[Finding]:
    """Yield what is wrong with what nodes return and read."""
    if not structure.has_keys:
        return
    wrong = [*_unreadable_keys(structure)]
    for node in structure.nodes.values():
        wrong += [*unknown_keys(structure, node), *_bad_results(node)]
    yield from wrong
    yield from _conflicting_writes(structure)
    # A key whose name is wrong somewhere is no key that nobody uses.
    if not wrong:
        yield from _unused_keys(structure, sources)


def unknown_keys(structure: Structure, node: Node) -> Iterator[Finding]:
    """Yield the keys that a node returns and no state class has.

    One that is like no other may be that of another graph, which the node is in as well.
    """
    known = structure.keys
    told: set[str] = set()
    for reading, result in node.results:
        if result.leaves:
            continue
        for key, line in result.keys.items():
            if key in known or key in told or key.startswith("__"):
                continue
            if _is_for_paths(structure, node, key):
                continue
            told.add(key)
            others = [each for each in known if each not in result.keys]
            yield finding(
                "unknown-key",
                f"node {node.name!r} returns {key!r}, which no state class of the graph has: it "
                "is lost",
                meant(key, others, "add it to the state class, or leave it out"),
                reading.at(line),
                is_sure=not reading.is_closure and bool(nearest_names(key, others)),
            )


def _is_for_paths(structure: Structure, node: Node, key: str) -> bool:
    """Say whether a path after the node may look at the key: it is given the whole result."""
    return any(
        path.input_schema is None
        and (
            not path.reading.is_seen
            or not path.reading.are_reads_all
            or any(read.key == key for read in path.reading.reads)
        )
        for path in structure.paths.get(node.name, [])
    )


def _bad_results(node: Node) -> Iterator[Finding]:
    for reading, result in node.results:
        if result.wrong is not None:
            yield finding(
                "bad-result",
                f"node {node.name!r} returns {result.wrong}, which says nothing about the state "
                "and fails the run",
                "return a dict of the keys that it changes, a Command or None",
                reading.at(result.line),
            )


def _unreadable_keys(structure: Structure) -> Iterator[Finding]:
    sent = _sent(structure)
    if sent is None:
        return
    # What cannot be seen may send something else than the state, too.
    is_sure = not any(onwards.is_doubtful for onwards in structure.onwards.values())
    for node in structure.nodes.values():
        schema = node.input_schema
        # What is sent may have any keys, and so may an error handler's input.
        if node.name in sent or not is_named(node.name):
            continue
        for reading, read in node.reads:
            if _is_missing(structure, schema, read):
                who = f"node {node.name!r}"
                yield _unreadable(structure, who, schema, reading, read, is_sure=is_sure)
    for path in (path for paths in structure.paths.values() for path in paths):
        yield from _unreadable_of(structure, path)


def _unreadable_of(structure: Structure, path: Path) -> Iterator[Finding]:
    node = structure.nodes.get(path.source)
    schema = path.input_schema or (None if node is None else node.input_schema)
    if schema is None:
        # The input of the graph, which may have more keys than the state.
        return
    for read in path.reading.reads:
        if not _is_missing(structure, schema, read):
            continue
        may_return = node is not None and any(
            not result.is_whole or read.key in result.keys for _, result in node.results
        )
        if path.input_schema is None and (node is None or not node.is_seen or may_return):
            continue
        who = f"path {path.name!r} after {path.source!r}"
        yield _unreadable(structure, who, schema, path.reading, read, is_sure=True)


def _is_missing(structure: Structure, schema: object, read: Read) -> bool:
    """Say whether a state class, as far as it is given as one, has no such key."""
    if read.key in structure.keys_of(schema) or read.key.startswith("__"):
        return False
    cls = class_of(schema)
    if read.is_attribute:
        return not is_typeddict(cls) and read.must_be_there and not hasattr(cls, read.key)
    return is_typeddict(cls) and (read.must_be_there or read.key not in structure.keys)


def _unreadable(
    structure: Structure,
    who: str,
    schema: object,
    reading: Reading,
    read: Read,
    *,
    is_sure: bool,
) -> Finding:
    name = getattr(class_of(schema), "__name__", str(schema))
    known = structure.keys_of(schema)
    is_elsewhere = read.key in structure.keys
    reason = (
        f"which its state class {name} does not have, though another one of the graph has it"
        if is_elsewhere
        else "which no state class of the graph has"
    )
    advice = f"add it to {name}" if is_elsewhere else meant(read.key, known, f"add it to {name}")
    return finding(
        "unreadable-key",
        f"{who} reads {read.key!r}, {reason}",
        advice,
        reading.at(read.line),
        is_sure=is_sure and read.must_be_there,
    )


def _sent(structure: Structure) -> Collection[object] | None:
    """Return the nodes that may be given something else than the state; None if all may."""
    sent: set[object] = set()
    for path in (path for paths in structure.paths.values() for path in paths):
        if path.is_open:
            return None
        sent |= {route.target for route in path.routes if route.is_send}
    for name, node in structure.nodes.items():
        if structure.onwards[name].is_open:
            return None
        sent |= {r.target for _, result in node.results for r in result.routes if r.is_send}
    return sent


def _conflicting_writes(structure: Structure) -> Iterator[Finding]:
    """Yield keys without a reducer that nodes of one superstep write, always."""
    told: set[tuple[str, str, str]] = set()
    for source, onwards in structure.onwards.items():
        together = [end for end in onwards.static if end != END and is_named(end)]
        for first, second in combinations(sorted(together), 2):
            nodes = structure.nodes[first], structure.nodes[second]
            if any(node.defer for node in nodes):
                continue
            for key in sorted(_always_written(nodes[0]) & _always_written(nodes[1])):
                channel = structure.builder.channels.get(key)
                if type(channel) is not LastValue or (first, second, key) in told:
                    continue
                told.add((first, second, key))
                after = "at the start" if source == START else f"after {source!r}"
                yield finding(
                    "conflicting-writes",
                    f"nodes {first!r} and {second!r} run side by side {after}, and both write "
                    f"{key!r}, which has no reducer: the run fails",
                    f"give {key!r} a reducer, `Annotated[..., operator.add]` for instance, or "
                    "have one of them write it",
                    nodes[1].place,
                )


def _always_written(node: Node) -> set[str]:
    if not node.is_seen or not all(reading.always_returns for reading in node.readings):
        return set()
    results = [result for _, result in node.results]
    if not results or any(not result.is_whole or result.leaves for result in results):
        return set()
    return set.intersection(*({*result.keys} for result in results))


def _unused_keys(structure: Structure, sources: Sources) -> Iterator[Finding]:
    """Yield keys that nobody writes or reads, where everything shows that might."""
    paths = [path for found in structure.paths.values() for path in found]
    readings = [reading for node in structure.nodes.values() for reading in node.readings]
    readings += [path.reading for path in paths]
    is_all = all(node.is_seen for node in structure.nodes.values()) and all(
        reading.is_seen and reading.are_reads_all for reading in readings
    )
    results = [result for node in structure.nodes.values() for _, result in node.results]
    if not is_all or not all(result.is_whole for result in results):
        return
    builder = structure.builder
    read = {each.key for reading in readings for each in reading.reads}
    written = {key for result in results for key in result.keys}
    declared = builder.state_schema
    # What is given out or taken in by a class of its own is meant for whoever calls the graph.
    shown = {
        key
        for schema in (builder.input_schema, builder.output_schema)
        if schema is not declared
        for key in builder.schemas[schema]
    }
    has_output = builder.output_schema is not declared
    for key in builder.schemas.get(declared, {}):
        if key in read or key in shown or (key in written and not has_output):
            continue
        what = "is written, and nobody reads it" if key in written else "is used by no node"
        yield finding(
            "unused-key",
            f"the key {key!r} of the state {what}",
            "remove it, or correct the name where it is meant",
            sources.key_place(declared, key),
        )
