"""Checks of what a graph is compiled with: its saver and cache, reducers and first values."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Annotated, Any, Final, get_args, get_origin

from langgraph.checkpoint.base import BaseCheckpointSaver

from millstream._base.runnable import functions_called
from millstream._base.state_classes import declared_hints, first_values
from millstream._base.texts import safe_str
from millstream.channels.binop import BinaryOperatorAggregate
from millstream.channels.delta import DeltaChannel
from millstream.channels.last_value import LastValue
from millstream.graph._checking.findings import Finding, Place, finding
from millstream.graph._checking.reading import Reader
from millstream.graph._checking.sources import Sources, place_of
from millstream.graph._checking.structure import Node, Structure
from millstream.saving.capabilities import has_async_methods

_ASYNC_SAVERS: Final = (
    ("langgraph.checkpoint.sqlite.aio", "AsyncSqliteSaver"),
    ("langgraph.checkpoint.postgres.aio", "AsyncPostgresSaver"),
)
_CHANGING: Final = (
    *(list.append, list.extend, list.insert, list.remove, list.sort, list.reverse),
    *(dict.update, set.update, set.add, set.discard, set.remove),
)
"""Methods that change what they are called of, and return None."""
_FEW: Final = 3


def check_surroundings(structure: Structure, sources: Sources, reader: Reader) -> Iterator[Finding]:
    """Yield what is wrong around the nodes of a graph."""
    yield from check_saver(structure.graph, [*structure.nodes.values()])
    yield from _check_interrupts(structure)
    yield from _check_caches(structure)
    if structure.builder is not None:
        yield from _check_reducers(structure, sources, reader)
        yield from _check_first_values(structure, sources)


def check_saver(graph: Any, nodes: list[Node]) -> Iterator[Finding]:
    """Yield what is wrong with the saver of a graph."""
    saver = getattr(graph, "checkpointer", None)
    if saver is None or isinstance(saver, bool):
        return
    name = type(saver).__name__
    if not isinstance(saver, BaseCheckpointSaver):
        yield finding(
            "not-a-saver",
            f"the graph's checkpointer is a {name}, which is no saver",
            "give `compile` a saver, or a path; enter a context manager first: "
            "`with SqliteSaver.from_conn_string(...) as saver`",
            None,
        )
        return
    asynchronous = [node for node in nodes if node.is_async_only]
    if asynchronous and not has_async_methods(saver):
        names = [node.name for node in asynchronous]
        yield finding(
            "sync-saver",
            f"nodes that are async alone ({_few(names)}) need the graph's async methods, and "
            f"its saver, a {name}, has none: no call can work",
            "use a saver that is both, such as millstream's SqliteJournal, or an async one",
            asynchronous[0].place,
        )
    is_sync = all(functions_called(node.runnable)[1] is None for node in nodes)
    if is_sync and (type(saver).__module__, name) in _ASYNC_SAVERS:
        yield finding(
            "async-saver",
            f"the graph's saver is a {name}: `invoke`, `stream` and `get_state` fail in the "
            "thread of its event loop, and no node is async",
            "call `ainvoke` and its relatives alone, or use a saver that is both, such as "
            "millstream's SqliteJournal",
            None,
        )


def _few(names: list[str]) -> str:
    more = ", ..." if len(names) > _FEW else ""
    return f"{', '.join(map(repr, names[:_FEW]))}{more}"


def _check_interrupts(structure: Structure) -> Iterator[Finding]:
    graph = structure.graph
    for node in structure.nodes.values():
        for reading in node.readings:
            for line in reading.swallowed:
                yield finding(
                    "swallowed-interrupt",
                    f"node {node.name!r} asks with interrupt() inside a `try` that catches "
                    "everything: the question is taken for an error and never asked",
                    "catch Exception, or the errors that are meant",
                    reading.at(line),
                )
    if getattr(graph, "checkpointer", None) not in (None, False):
        return
    breakpoints = [
        *getattr(graph, "interrupt_before_nodes", ()),
        *getattr(graph, "interrupt_after_nodes", ()),
    ]
    asking = [node for node in structure.nodes.values() if node.interrupts]
    if not breakpoints and not asking:
        return
    who = (
        f"node {asking[0].name!r} asks with interrupt()"
        if asking
        else f"the graph stops at {_few(breakpoints)}"
    )
    yield finding(
        "interrupt-without-saver",
        f"{who}, and the graph has no saver: a run that stops cannot go on",
        "compile it with a checkpointer; a server, and the graph around a nested one, bring theirs",
        asking[0].interrupts[0].place if asking else None,
    )


def _check_caches(structure: Structure) -> Iterator[Finding]:
    if getattr(structure.graph, "cache", None) is not None:
        return
    named = [name for name, node in structure.nodes.items() if node.cache_policy is not None]
    if named:
        yield finding(
            "unused-cache-policy",
            f"nodes have a cache policy ({_few(named)}), and the graph has no cache: nothing is "
            "reused",
            "give `compile` a cache, such as InMemoryCache(), or remove the policy",
            structure.nodes[named[0]].place,
        )


def _check_reducers(structure: Structure, sources: Sources, reader: Reader) -> Iterator[Finding]:
    builder = structure.builder
    for schema, keys in builder.schemas.items():
        for key in keys:
            channel = builder.channels.get(key)
            if isinstance(channel, BinaryOperatorAggregate) and _returns_none(
                channel.operator, reader
            ):
                yield finding(
                    "reducer-returns-none",
                    f"the reducer of {key!r}, {_name(channel.operator)}, changes what it is given "
                    "and returns None, which becomes the value",
                    "return the new value, as operator.add does",
                    _place(channel.operator) or sources.key_place(schema, key),
                )
        for key, ignored in _ignored_reducers(schema, builder):
            yield finding(
                "ignored-reducer",
                f"{_name(ignored)} beside the type of {key!r} is not its reducer, because it does "
                "not take two values: what is written replaces the value",
                "have it take the value and what is written, or remove it",
                _place(ignored) or sources.key_place(schema, key),
            )


def _returns_none(reducer: Any, reader: Reader) -> bool:
    if reducer in _CHANGING:
        return True
    if not isinstance(reducer, FunctionType):
        return False
    reading = reader.reading(reducer)
    return reading.is_seen and reading.returns_none


def _ignored_reducers(schema: Any, builder: Any) -> Iterator[tuple[str, Any]]:
    for key, hint in declared_hints(schema).items() if _has_hints(schema) else ():
        channel = builder.channels.get(key)
        if get_origin(hint) is not Annotated or type(channel) is not LastValue:
            continue
        for item in get_args(hint)[1:]:
            if inspect.isfunction(item):
                yield key, item


def _has_hints(schema: Any) -> bool:
    return hasattr(schema, "__annotations__")


def _check_first_values(structure: Structure, sources: Sources) -> Iterator[Finding]:
    """Yield first values of keys that the saver cannot store."""
    saver = getattr(structure.graph, "checkpointer", None)
    dump = getattr(getattr(saver, "serde", None), "dumps_typed", None)
    if dump is None:
        return
    for schema in structure.builder.schemas:
        for key, make in first_values(schema).items() if _has_hints(schema) else ():
            channel = structure.builder.channels.get(key)
            # Of other keys the class fills the value in, and it is not stored.
            if not isinstance(channel, (BinaryOperatorAggregate, DeltaChannel)):
                continue
            try:
                value = make()
            except Exception:  # whatever the program's factory raises, which a run will tell
                continue
            try:
                dump(value)
            except Exception as error:
                yield finding(
                    "unstorable-default",
                    f"the key {key!r} begins as a {type(value).__name__}, which the graph's saver "
                    f"cannot store: {safe_str(error):.200}",
                    "begin with plain values, and make such things in the nodes that need them",
                    sources.key_place(schema, key),
                )


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__name__


def _place(function: Any) -> Place | None:
    return place_of(function) if isinstance(function, FunctionType) else None
