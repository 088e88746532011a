"""From state classes to channels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

from typing_extensions import NotRequired, Required, get_type_hints

from millstream.channels.base import BaseChannel
from millstream.channels.binop import BinaryOperatorAggregate
from millstream.channels.delta import DeltaChannel
from millstream.channels.last_value import LastValue
from millstream.constants import ROOT
from millstream.managed.base import is_managed_value
from millstream.runnable import plain_code

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def schema_fields(schema: Any) -> tuple[dict[str, BaseChannel[Any, Any, Any]], dict[str, Any]]:
    """Return the channels and the managed values that a state class declares.

    A class without annotations is the whole state: one channel, `__root__`.
    """
    if not hasattr(schema, "__annotations__"):
        return {ROOT: _named(ROOT, field_channel(schema))}, {}
    channels: dict[str, BaseChannel[Any, Any, Any]] = {}
    managed: dict[str, Any] = {}
    for name, annotation in get_type_hints(schema, include_extras=True).items():
        if name == "__slots__":
            continue
        if (value := managed_value(annotation)) is not None:
            managed[name] = value
        else:
            channels[name] = _named(name, field_channel(annotation))
    return channels, managed


def field_channel(annotation: Any) -> BaseChannel[Any, Any, Any]:
    """Return the channel that an annotation asks for, `LastValue` by default."""
    annotation = _stripped(annotation)
    if get_origin(annotation) is Annotated:
        typ, *metadata = get_args(annotation)
        typ = _stripped(typ)
        for item in metadata:
            if isinstance(item, DeltaChannel):
                return item.typed(typ)
            if isinstance(item, BaseChannel):
                return item
            if inspect.isclass(item) and issubclass(item, BaseChannel):
                return item(typ)
        if callable(metadata[-1]) and not inspect.isclass(metadata[-1]):
            check_reducer(metadata[-1])
            return BinaryOperatorAggregate(typ, metadata[-1])
    return LastValue(annotation)


def check_reducer(reducer: Callable[..., Any]) -> None:
    """Refuse a reducer that cannot be called with two values."""
    try:
        parameters = list(inspect.signature(reducer).parameters.values())
    except ValueError:
        return  # built-ins without a signature
    positional = [p for p in parameters if p.kind in POSITIONAL]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = [p for p in positional if p.default is p.empty]
    if len(required) > 2 or (len(positional) < 2 and not takes_any):
        names = ", ".join(p.name for p in parameters)
        raise ValueError(f"Invalid reducer signature. Expected (a, b) -> c. Got ({names})")


def managed_value(annotation: Any) -> Any:
    """Return the managed value an annotation names, None if it names none."""
    annotation = _stripped(annotation)
    if get_origin(annotation) is Annotated:
        last = get_args(annotation)[-1]
        if is_managed_value(last):
            return last
    return annotation if is_managed_value(annotation) else None


def input_annotation(func: Any) -> Any:
    """Return the state class that a function's first parameter is annotated with, if any."""
    target = func if inspect.isroutine(func) else getattr(func, "__call__", None)  # noqa: B004
    try:
        parameter = next(iter(inspect.signature(func).parameters))
        hint = function_hints(target).get(parameter)
    except (NameError, TypeError, ValueError, StopIteration):
        return None
    return state_class(hint)


def state_class(hint: Any) -> Any:
    """Return the hint if it is a class that declares the keys of a state, else None."""
    return hint if inspect.isclass(hint) and getattr(hint, "__annotations__", None) else None


def function_hints(func: Any) -> dict[str, Any]:
    """Return a function's type hints, as `typing.get_type_hints` does and with its errors.

    Where all annotations are classes or global names of classes, as with most nodes, they are
    looked up; to compile and evaluate each is most of the cost of adding a node.
    """
    if plain_code(func) is None or getattr(func, "__type_params__", None):
        return get_type_hints(func)
    hints = {}
    for name, annotation in func.__annotations__.items():
        hint = func.__globals__.get(annotation) if type(annotation) is str else annotation
        # Not isclass(), which takes `list["Item"]` for a class on Python 3.10.
        if not issubclass(type(hint), type):
            return get_type_hints(func)
        hints[name] = hint
    return hints


def _stripped(annotation: Any) -> Any:
    while get_origin(annotation) in (Required, NotRequired):
        (annotation,) = get_args(annotation)
    return annotation


def _named(name: str, channel: BaseChannel[Any, Any, Any]) -> BaseChannel[Any, Any, Any]:
    channel.key = name
    return channel
