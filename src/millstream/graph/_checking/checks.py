"""All checks of a compiled graph, and of the graphs that its nodes are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from millstream.graph._checking.findings import Finding
from millstream.graph._checking.keys import check_keys
from millstream.graph._checking.reading import Reader
from millstream.graph._checking.routes import check_routes
from millstream.graph._checking.sources import Sources
from millstream.graph._checking.structure import Structure, structure_of
from millstream.graph._checking.surroundings import check_surroundings
from millstream.graph._checking.waiting import check_waiting


def check_graph(graph: Any) -> list[Finding]:
    """Return what is wrong with a compiled graph and its nested ones; nothing of it is run."""
    sources = Sources()
    reader = Reader(sources)
    found = dict.fromkeys(_findings(structure_of(graph, reader), sources, reader, ()))
    return [told for each in found if (told := sources.told(each)) is not None]


def _findings(
    structure: Structure, sources: Sources, reader: Reader, path: tuple[str, ...]
) -> Iterator[Finding]:
    found = [
        *check_routes(structure),
        *check_keys(structure, sources),
        *check_waiting(structure),
        *check_surroundings(structure, sources, reader),
    ]
    for each in found:
        # A nested graph has the saver of the graph around it.
        if not path or each.code != "interrupt-without-saver":
            yield replace(each, graph=path)
    for name, node in structure.nodes.items():
        if node.nested is not None:
            yield from _findings(node.nested, sources, reader, (*path, name))
