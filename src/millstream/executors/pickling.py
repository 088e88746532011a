"""What can be sent to another process, and naming what cannot."""

from __future__ import annotations

import importlib
import io
import operator
import pickle
import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final, TypeAlias

from langchain_core.tools import BaseTool

from millstream._base.contents import contents_of
from millstream._base.runnable import RunnableCallable
from millstream._base.texts import safe_str
from millstream.drivers.call_nodes import CallNode
from millstream.drivers.function_calls import FunctionCall
from millstream.errors import UnpicklableError

Dumps: TypeAlias = "Callable[[Any], bytes]"
"""Makes a value the bytes that `pickle.loads` reads where it is sent to."""

MAX_DEPTH: Final = 20
"""How deep the part that cannot be pickled is looked for."""


WRAPPERS: Final = ("func", "coroutine", "afunc", "__wrapped__")
"""Where decorators keep the function that they have put something else in the place of."""


class Pickler(pickle.Pickler):
    """Knows more of what has a name in a module than pickle does."""

    def reducer_override(self, value: Any) -> Any:
        """Return how a value is found by name, if that takes more than its own name."""
        place = place_of(value)
        # As pickle does it.
        return NotImplemented if place is None else (fetch, place)


def place_of(value: Any) -> tuple[str, ...] | None:
    """Return where `fetch` finds a value, if it is not found by its own name.

    A decorator such as `@tool` leaves an object under the name of the function. Neither the object
    nor the function can be pickled then, and both are found where they are.
    """
    if isinstance(value, FunctionType):
        holder, place = _lookup(value), (value.__module__, value.__qualname__)
        # Under its own name pickle finds it by itself.
        for attribute in WRAPPERS if holder is not value else ():
            if getattr(holder, attribute, None) is value:
                return (*place, attribute)
    elif isinstance(value, BaseTool):
        for attribute in WRAPPERS:
            func: Any = getattr(value, attribute, None)
            if isinstance(func, FunctionType) and _lookup(func) is value:
                return func.__module__, func.__qualname__
    return None


def fetch(module: str, name: str, attribute: str | None = None) -> Any:
    """Return what has a name in a module, or what that keeps under an attribute."""
    found = operator.attrgetter(name)(importlib.import_module(module))
    return found if attribute is None else getattr(found, attribute)


def _lookup(func: FunctionType) -> Any:
    """Return what has the name of a function now, None if nothing has."""
    try:
        return operator.attrgetter(func.__qualname__)(sys.modules[func.__module__])
    except (AttributeError, KeyError):
        return None


def dumps(value: Any) -> bytes:
    """Return a value as bytes, which `pickle.loads` reads."""
    buffer = io.BytesIO()
    Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def packed(value: Any, node: str, what: str, dump: Dumps = dumps) -> bytes:
    """Return a value as bytes; `UnpicklableError` names the part of it that cannot be."""
    try:
        return dump(value)
    except Exception as error:
        raise named(value, node, what, error, dump) from error


def named(
    value: Any, node: str, what: str, error: Exception, dump: Dumps = dumps
) -> UnpicklableError:
    """Return the error that says which part of a value cannot be pickled."""
    place, part, reason = _find(value, error, dump)
    return UnpicklableError(node, f"{what}{place}", _text(part, reason))


def portable(error: BaseException, node: str, dump: Dumps = dumps) -> BaseException:
    """Return an error, or one that says what it said if it cannot be sent."""
    try:
        pickle.loads(dump(error))  # some can be pickled and not be read
    except Exception:
        return RuntimeError(f"{type(error).__qualname__} in node '{node}': {safe_str(error)}")
    return error


def refusal(value: Any, dump: Dumps = dumps) -> Exception | None:
    """Return why a value cannot be pickled, None if it can."""
    try:
        dump(value)
    except Exception as error:
        return error
    return None


def is_to_be_named(value: Any, error: Exception) -> bool:
    """Say whether all that a value lacks is the name of a function that may get it yet.

    A decorator runs before its module has what it returns.
    """
    _, part, _ = _find(value, error, dumps)
    return isinstance(part, FunctionType) and "<" not in part.__qualname__ and _lookup(part) is None


def _find(value: Any, reason: Exception, dump: Dumps) -> tuple[str, Any, Exception]:
    """Return how to get to the innermost part that is refused, the part, and why it is."""
    place = ""
    for _ in range(MAX_DEPTH):
        for at, part in _pieces(value):
            if (refused := refusal(part, dump)) is not None:
                place, value, reason = place + at, part, refused
                break
        else:
            break
    return place, value, reason


def _pieces(value: Any) -> Iterable[tuple[str, Any]]:
    """Return what a value consists of, each with how to get there."""
    if isinstance(value, RunnableCallable):
        # What there is to say of a node is its function.
        return [("", func) for func in (value.func, value.afunc) if func is not None]
    if isinstance(value, FunctionCall):
        return [("", value.target)]
    # Its function, and what a program may have put beside it.
    if isinstance(value, CallNode):
        body = value.body
        return [("", body.call), (".retry", body.retry), (".cache", body.cache)]
    if isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return [
            (f" '{value.__qualname__}', its variable {name!r}", cell.cell_contents)
            for name, cell in cells
            if _is_filled(cell)
        ]
    if isinstance(value, MethodType):
        return [(f" '{value.__qualname__}', its object", value.__self__)]
    if isinstance(value, partial):
        named = [(f", argument {name!r}", item) for name, item in value.keywords.items()]
        args = [(f", argument {index}", item) for index, item in enumerate(value.args)]
        return [("", value.func), *args, *named]
    found = list(contents_of(value))
    if not found and hasattr(value, "__dict__"):
        found = [(f".{name}", item) for name, item in vars(value).items()]
    return found


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _text(part: Any, reason: Exception) -> str:
    if isinstance(part, FunctionType) and "<" in part.__qualname__:
        return (
            f"'{part.__qualname__}' is not at the top of a module, where the other process could "
            f"find it by its name ({reason})"
        )
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    return f"it is a {kind} ({reason})"
