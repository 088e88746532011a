"""What is noted of an error that a node raised: which task it was, and what may be why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from millstream._base.texts import safe_repr
from millstream._types.advice import with_advice
from millstream.drivers.routes import nearest_names

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext

MOST: Final = 8
"""How many keys of a dict are named: one that was sent may have thousands."""


def add_task_notes(error: BaseException, context: TaskContext) -> None:
    """Say in the traceback which task the error comes from (Python 3.11 and later)."""
    task = context.task
    with_advice(error, f"During task with name '{task.name}' and id '{task.id}'")
    # An input may be of any class, and its methods are code of others.
    if type(task.input) is dict:
        declared = task.machine.spec.shown
        if (note := about_state(error, task.input, declared, is_sent=not task.is_pull)) is not None:
            with_advice(error, note)


def about_state(
    error: BaseException, given: Mapping[str, Any], declared: Collection[str], *, is_sent: bool
) -> str | None:
    """Return what may be wrong with how a node reads the dict that it was given, None if nothing.

    `declared` are the keys of the state; a dict that was sent is not the state.
    """
    if isinstance(error, AttributeError):
        if error.obj is not given or error.name not in {*given, *declared}:
            return None
        return f"The state is a dict here: read it as state[{error.name!r}]"
    if type(error) is not KeyError or len(error.args) != 1:
        return None
    key = error.args[0]
    # Whether it was this dict in which the key was looked for is not known.
    if not isinstance(key, str) or key in given:
        return None
    if is_sent:
        return f"The node was sent a dict without {key!r}; it has {_shown(given)}"
    if key in declared:
        return (
            f"The state has no {key!r} yet, because neither the input nor a node has written it; "
            f"state.get({key!r}) is None then"
        )
    if nearest := nearest_names(key, declared):
        return f"The state has no key {key!r}. Did you mean {' or '.join(map(repr, nearest))}?"
    return None


def _shown(given: Mapping[Any, Any]) -> str:
    """Return the first keys of a dict, whose classes may be anybody's."""
    first = [safe_repr(key) for key in islice(given, MOST)]
    return ", ".join([*first, *(["..."] if len(given) > MOST else [])]) or "no keys"
