"""Which saver a graph runs with, and whether it outlives the command."""

from __future__ import annotations

import copy
import os
import uuid
from typing import Any, Final

from millstream.cli.failures import UsageError, text_of
from millstream.cli.installing import in_this_environment

_FLEETING: Final = {"InMemorySaver", "MemoryJournal"}


def has_saver(graph: Any) -> bool:
    """Return whether a graph keeps its threads somewhere."""
    return getattr(graph, "checkpointer", None) not in (None, True, False)


def is_lasting(graph: Any) -> bool:
    """Return whether a graph's threads are still there when the command has ended."""
    if not has_saver(graph):
        return False
    saver = graph.checkpointer
    if any(each.__name__ in _FLEETING for each in type(saver).__mro__):
        return False
    return getattr(saver, "path", None) != ":memory:"


def with_saver(graph: Any, place: str | None, *, may_be_new: bool = True) -> Any:
    """Return the graph with the saver that is at a place, as it is if none is given."""
    if place is None:
        return graph
    from millstream._base.addresses import shown

    # To open a file makes it, and whoever reads would find it empty.
    if not may_be_new and "://" not in place and not os.path.exists(place):
        raise UsageError(f"--checkpointer {place}: no such file; give one that keeps threads")
    from millstream.saving.places import journal_at

    try:
        saver = journal_at(place)
    except (ValueError, ImportError) as error:
        text = in_this_environment(text_of(error))
        raise UsageError(f"--checkpointer {shown(place)}: {text}") from error
    return graph.copy(update={"checkpointer": saver})


def with_memory(graph: Any) -> Any:
    """Return the graph with a saver that ends with the command, so that it can be answered."""
    from langgraph.checkpoint.memory import InMemorySaver

    return graph.copy(update={"checkpointer": InMemorySaver(serde=_Copies())})


def with_thread(graph: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with a thread: a graph with a saver needs one, and a new run a new one."""
    configurable = config.get("configurable") or {}
    if "thread_id" in configurable or not has_saver(graph):
        return config
    return {**config, "configurable": {**configurable, "thread_id": str(uuid.uuid4())}}


class _Copies:
    """A serializer for one process, which takes anything: it keeps copies.

    The program has not asked for a saver, and so may have in its state what none can store.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def dumps_typed(self, value: Any) -> tuple[str, bytes]:
        """Keep a copy, and return where it is."""
        self._kept.append(_copied(value))
        return "copy", str(len(self._kept) - 1).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return a copy of what is kept there."""
        return _copied(self._kept[int(data[1])])


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # whatever a class raises that cannot be copied, as those of locks do
        return value
