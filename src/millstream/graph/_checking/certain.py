"""What is wrong with a graph for certain, said when it is compiled.

Programs that are right hear nothing, and it costs them little: the source of a node is only read
where what is declared, or a text in its code, looks wrong, and once.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from itertools import islice
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from millstream._base.bounded import BoundedDict
from millstream._base.runnable import functions_called, plain_code
from millstream.constants import ROOT
from millstream.warnings import GraphWarning, warn_caller

if TYPE_CHECKING:
    from millstream.graph._checking.findings import Finding

MOST: Final = 3
"""How many nodes and keys are warned of: whoever has more of these has made them by a program."""
logger = logging.getLogger(__name__)


class _Keys(BoundedDict[CodeType, frozenset[str]]):
    size = 512


_RETURNED: Final = _Keys()
"""Code of nodes whose source was read -> the keys that they return: graphs may be made for each
request, and of the same functions."""


def warn_of_certain(graph: Any, builder: Any) -> None:
    """Warn of nodes that never run, keys that are lost and savers that nobody can use."""
    try:
        found = _found(graph, builder)
    except Exception:
        # Whatever classes of nodes may raise that are looked at: it keeps nobody from compiling.
        logger.debug("a graph cannot be checked", exc_info=True)
        return
    for finding in found:
        warn_caller(GraphWarning(finding.text, code=finding.code))


def _found(graph: Any, builder: Any) -> list[Finding]:
    suspects = [*_suspects(builder)]
    if suspects or _has_lost_nodes(graph, builder) or _needs_other_saver(graph):
        return [*_certain(graph, builder, suspects)]
    return []


def _suspects(builder: Any) -> Iterator[str]:
    """Yield nodes that return keys that nobody has."""
    known = {*builder.channels, *builder.managed, *builder.aliases}
    if ROOT in known:
        return
    reader = None
    for name, spec in builder.nodes.items():
        sync, asynchronous = functions_called(spec.runnable)
        func = sync or asynchronous
        code = plain_code(func)
        if code is None or not any(_looks_like_key(each, known) for each in code.co_consts):
            continue
        keys = _RETURNED.get(code)
        if keys is None:
            from millstream.graph._checking.reading import Reader
            from millstream.graph._checking.sources import Sources

            reader = reader or Reader(Sources())
            results = reader.reading(func).results
            keys = _RETURNED[code] = frozenset(key for result in results for key in result.keys)
        if not keys <= known:
            yield name


def _looks_like_key(constant: Any, known: Collection[str]) -> bool:
    if type(constant) is str:
        return constant not in known and constant.isidentifier()
    # The keys of a dict with several.
    return type(constant) is tuple and any(_looks_like_key(each, known) for each in constant)


def _has_lost_nodes(graph: Any, builder: Any) -> bool:
    """Say whether there are nodes that nothing which is declared leads to.

    With a saver, whoever goes on with a thread may do so at any node: `Command(goto=...)`.
    """
    if graph.checkpointer:
        return False
    lost = builder.nodes.keys() - {end for _, end in builder.edges}
    if lost:
        lost -= {end for _, end in builder.waiting_edges}
    if lost:
        for spec in builder.nodes.values():
            lost -= {*(spec.ends or ()), spec.error_handler_node}
        for branch in (each for found in builder.branches.values() for each in found.values()):
            if branch.ends is None:
                # It may lead anywhere.
                return False
            lost -= {*branch.ends.values()}
    return bool(lost)


def _needs_other_saver(graph: Any) -> bool:
    saver = graph.checkpointer
    if saver is None or isinstance(saver, bool):
        return False
    from millstream.saving.capabilities import has_async_methods

    return not has_async_methods(saver)


def _certain(graph: Any, builder: Any, suspects: Collection[str]) -> Iterator[Finding]:
    from millstream.graph._checking.keys import unknown_keys
    from millstream.graph._checking.reading import Reader
    from millstream.graph._checking.routes import reachable, unreachable, wrong_routes
    from millstream.graph._checking.sources import Sources
    from millstream.graph._checking.structure import builder_structure
    from millstream.graph._checking.surroundings import check_saver

    sources = Sources()
    structure = builder_structure(graph, builder, Reader(sources))
    # Where a name is wrong the run fails, and the node that is meant is not the one to mend.
    is_told = not _has_lost_nodes(graph, builder) or wrong_routes(structure)
    lost = () if is_told else unreachable(structure, reachable(structure))
    keys = (each for name in suspects for each in unknown_keys(structure, structure.nodes[name]))
    found = [
        *islice((found for _, found in lost), MOST),
        *islice(keys, MOST),
        *check_saver(graph, [*structure.nodes.values()]),
    ]
    for finding in found:
        told = sources.told(finding)
        if told is not None and told.severity == "error":
            yield told
