"""What a node's result writes: state updates, then where to go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream._base.state_classes import NO_ALIASES, by_name
from millstream._types.update_fields import annotated_keys, changed_fields
from millstream.constants import ROOT, SIGNAL_PREFIX
from millstream.errors import ParentCommand
from millstream.graph._builder.wrong_results import warn_of_lost_result, wrong_result
from millstream.types import Command, Send

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.drivers.routes import Routes


def branch_channel(node: str) -> str:
    """Return the channel that triggers a node."""
    return SIGNAL_PREFIX + node


def join_channel(starts: Sequence[str], end: str) -> str:
    """Return the channel that triggers a node after several others."""
    return f"join:{'+'.join(starts)}:{end}"


def branch_write(node: str) -> Write:
    """Return the write that triggers a node."""
    return (SIGNAL_PREFIX + node, None)


def result_writers(
    keys: Sequence[str],
    routes: Routes,
    *,
    prepare: Callable[[Iterable[Write]], None] | None = None,
    aliases: Mapping[str, str] = NO_ALIASES,
) -> Callable[[str, Sequence[Write]], Callable[[Any], list[Write]]]:
    """Return what makes, of a node and its edges, the function from its result to its writes.

    `keys` are the state keys a result may write, also under the name of an alias; others are
    ignored. Static edges are written every time. `prepare` may change in place what is written.
    Results that say nothing about the state raise `InvalidUpdateError`, those that lead to no node
    its kind `InvalidRouteError`, and commands for a parent graph `ParentCommand`.
    """
    known = frozenset(keys)
    updates_of = _root_updates if tuple(keys) == (ROOT,) else _dict_updates

    def writes_of(node: str, edges: Sequence[Write], result: Any) -> list[Write]:
        # The plain case, in which there is nothing to convert and nowhere to go.
        if type(result) is dict and updates_of is _dict_updates and not aliases:
            writes = [write for write in result.items() if write[0] in known]
        else:
            writes = updates_of(result, keys, known, aliases, node)
            writes += _goto_writes(result, routes, node)
        if prepare is not None:
            prepare(writes)
        if edges:
            writes += edges
        return writes

    return lambda node, edges: partial(writes_of, node, edges)


def picked(
    update: Iterable[Write], known: Collection[str], aliases: Mapping[str, str]
) -> list[Write]:
    """Return what an update writes to known keys."""
    if aliases:
        update = by_name(update, aliases)
    return [write for write in update if write[0] in known]


def _dict_updates(
    result: Any,
    keys: Sequence[str],
    known: frozenset[str],
    aliases: Mapping[str, str],
    node: str,
) -> list[Write]:
    if result is None:
        return []
    # A subclass of dict, or a dict where keys have aliases.
    if isinstance(result, dict):
        return picked(result.items(), known, aliases)
    if isinstance(result, Command):
        return picked(_command_update(result), known, aliases)
    if _has_commands(result):
        _leave(result)
        rest = (keys, known, aliases, node)
        return [write for part in result for write in _dict_updates(part, *rest)]
    kind: Any = type(result)
    # An instance of the state class, or of one like it: what was set of it is written.
    if fields := annotated_keys(kind):
        if known.isdisjoint(fields):
            warn_of_lost_result(result, node)
        return changed_fields(result, keys)
    raise wrong_result(result, node, keys)


def _root_updates(
    result: Any,
    keys: Sequence[str],
    known: frozenset[str],
    aliases: Mapping[str, str],
    node: str,
) -> list[Write]:
    if result is None:
        return []
    if isinstance(result, Command):
        return [write for write in _command_update(result) if write[0] in known]
    if _has_commands(result):
        _leave(result)
        rest = (keys, known, aliases, node)
        return [write for part in result for write in _root_updates(part, *rest)]
    return [(ROOT, result)]


def _has_commands(result: Any) -> bool:
    return isinstance(result, (list, tuple)) and any(isinstance(i, Command) for i in result)


def _leave(results: Sequence[Any]) -> None:
    """Raise the commands for a parent graph, if there are any, as one."""
    leaving = [r for r in results if isinstance(r, Command) and r.graph == Command.PARENT]
    if leaving:
        raise ParentCommand(leaving[0]._joined(leaving[1:]))


def _command_update(command: Command[Any]) -> Sequence[Write]:
    if command.graph == Command.PARENT:
        raise ParentCommand(command)
    return command._update_as_tuples()


def _goto_writes(result: Any, routes: Routes, node: str) -> list[Write]:
    """Return the writes that send the run where the result says, besides the static edges."""
    if isinstance(result, Command):
        return routes.writes_of(result.goto, node)
    if isinstance(result, Send):
        return routes.writes((result,), node)
    if not isinstance(result, (list, tuple)):
        return []
    commands = (item for item in result if isinstance(item, Command))
    return [write for command in commands for write in routes.writes_of(command.goto, node)]
