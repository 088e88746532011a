"""Errors in a recording: what raises them again raises what the run has raised.

Python's own errors and the engine's are made again as themselves where that says the same. Any
other is a `RecordedError` of the same name, with the text and the arguments that it had, so that
front ends and tracebacks show what they did of the run; a file has no class imported.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from millstream import errors
from millstream._base.texts import safe_str
from millstream.stimuli.values import RecordedError

Json: TypeAlias = Any

_ATOMS: Final = frozenset((bool, int, float, str, type(None)))

ERRORS: Final[Mapping[str, type[Exception]]] = {
    f"{cls.__module__}.{cls.__qualname__}": cls
    for cls in (
        *(each for each in vars(builtins).values() if isinstance(each, type)),
        errors.EmptyChannelError,
        errors.EmptyInputError,
        errors.GraphDrained,
        errors.GraphRecursionError,
        errors.InvalidUpdateError,
    )
    if issubclass(cls, Exception)
}
"""The errors that are raised again as themselves, by name."""
_OF_PARTS: Final = (SyntaxError, UnicodeError, getattr(builtins, "ExceptionGroup", SyntaxError))
"""Errors that are shown by what they are made of, which a recording does not have."""


def encode_error(value: BaseException, convert: Callable[[Any], Json]) -> Json:
    """Return the JSON for an error: its class and text, and its arguments if they are plain."""
    kind = type(value)
    data = {"class": f"{kind.__module__}.{kind.__qualname__}", "text": safe_str(value)}
    if all(type(each) in _ATOMS for each in value.args):
        data["args"] = convert(list(value.args))
    return {"$error": data}


def decode_error(name: str, text: str, args: Sequence[Any] | None) -> BaseException:
    """Return the error of a class with this text and these arguments."""
    kind = ERRORS.get(name)
    if kind is not None and args is not None:
        # Not by calling the class, which may want other arguments than it keeps.
        error = kind.__new__(kind, *args)
        error.args = tuple(args)
        if safe_str(error) == text:
            return error
    return recorded_error(name, text, (text,) if args is None else args)


def recorded_error(name: str, text: str, args: Sequence[Any]) -> RecordedError:
    """Return what stands for an error of a class that is not imported, under its name."""
    module, _, own = name.rpartition(".")
    # What shows the error asks for its text, which a file may have as anything.
    if type(text) is not str:
        raise TypeError(f"the text of an error is {text!r:.80}")
    called = {"__module__": module or builtins.__name__, "__str__": _text, "__reduce__": _reduced}
    cls: type[RecordedError] = type(own, (RecordedError, *_base(name)), called)
    error = cls.__new__(cls)
    error.args = tuple(args)
    vars(error).update(name=name, text=text)
    return error


def _base(name: str) -> tuple[type[Exception], ...]:
    """Return the known class of an error, so that it is caught as one."""
    kind = ERRORS.get(name)
    return () if kind is None or issubclass(kind, _OF_PARTS) else (kind,)


def _text(error: Any) -> str:
    text: str = error.text
    return text


def _reduced(error: Any) -> tuple[Any, ...]:
    return recorded_error, (error.name, error.text, error.args)
