"""From state classes to channels."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Optional, Union, get_args, get_origin

from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.base import RunnableBinding
from typing_extensions import NotRequired, ReadOnly, Required, TypeAliasType, get_type_hints

from millstream._base.runnable import plain_code
from millstream._base.state_classes import class_of, declared_hints, first_values, is_state_class
from millstream._base.texts import safe_repr
from millstream._types.advice import with_advice
from millstream.channels.base import BaseChannel
from millstream.channels.binop import BinaryOperatorAggregate, OptionalAggregate
from millstream.channels.delta import DeltaChannel
from millstream.channels.last_value import LastValue
from millstream.constants import ROOT
from millstream.managed.base import is_managed_value

REDUCING: Final = (BinaryOperatorAggregate, DeltaChannel)
QUALIFIERS: Final = (Required, NotRequired, ReadOnly, typing.Final)
ALIASES: Final = tuple({TypeAliasType, getattr(typing, "TypeAliasType", TypeAliasType)})
# Type checkers read a literal `Optional[...]` as an annotation.
_OPTIONAL: Final[Any] = Optional
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_schema(schema: Any) -> None:
    """Refuse what is no class, and what is easily taken for one."""
    if isinstance(schema, Mapping):
        raise with_advice(
            TypeError(f"unhashable type: {type(schema).__name__!r}"),
            f"A state is declared by a class, such as a TypedDict; got {safe_repr(schema):.200}",
        )


def schema_fields(schema: Any) -> tuple[dict[str, BaseChannel[Any, Any, Any]], dict[str, Any]]:
    """Return the channels and the managed values that a state class declares.

    A class without annotations is the whole state: one channel, `__root__`.
    """
    if not hasattr(class_of(schema), "__annotations__"):
        return {ROOT: _named(ROOT, field_channel(schema))}, {}
    channels: dict[str, BaseChannel[Any, Any, Any]] = {}
    managed: dict[str, Any] = {}
    starts = first_values(schema)
    for name, annotation in declared_hints(schema).items():
        if (value := managed_value(annotation)) is not None:
            managed[name] = value
            continue
        channel = field_channel(annotation)
        # A default of the class is where a reducer starts. Of other keys it is filled in by the
        # class, when an instance is made for a node.
        if name in starts and isinstance(channel, REDUCING):
            channel = channel.starting_with(starts[name])
        channels[name] = _named(name, channel)
    return channels, managed


def field_channel(annotation: Any) -> BaseChannel[Any, Any, Any]:
    """Return the channel that an annotation asks for, `LastValue` by default."""
    annotation = _stripped(annotation)
    if get_origin(annotation) is Annotated:
        typ, *metadata = get_args(annotation)
        return _annotated_channel(_stripped(typ), metadata) or LastValue(annotation)
    # `Annotated[...] | None`, which is the reducer of the type inside with a state that may be
    # None.
    inner = _optional(annotation)
    if get_origin(inner) is Annotated:
        typ, *metadata = get_args(inner)
        typ = _stripped(typ)
        channel = _annotated_channel(typ, metadata)
        if isinstance(channel, BinaryOperatorAggregate):
            return OptionalAggregate(_OPTIONAL[typ], channel.operator)
        if channel is not None:
            return channel
    return LastValue(annotation)


def _annotated_channel(typ: Any, metadata: Sequence[Any]) -> BaseChannel[Any, Any, Any] | None:
    """Return the channel that what is written next to a type asks for, None if nothing does."""
    for item in metadata:
        if isinstance(item, DeltaChannel):
            return item.typed(typ)
        if isinstance(item, BaseChannel):
            return item
        if inspect.isclass(item) and issubclass(item, BaseChannel):
            return item(typ)
    # The last place is where LangGraph looks for a reducer, and refuses one that cannot be one.
    if callable(metadata[-1]) and not inspect.isclass(metadata[-1]):
        check_reducer(metadata[-1])
        return BinaryOperatorAggregate(typ, metadata[-1])
    # Descriptions and constraints may come after the reducer.
    for item in reversed(metadata):
        if _is_reducer(item):
            return BinaryOperatorAggregate(typ, item)
    return None


def _is_reducer(item: Any) -> bool:
    if not inspect.isroutine(item) and not isinstance(item, functools.partial):
        return False
    try:
        check_reducer(item)
    except ValueError:
        return False
    return True


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
    annotation = _optional(annotation) or annotation
    if get_origin(annotation) is Annotated:
        last = get_args(annotation)[-1]
        if is_managed_value(last):
            return last
    return annotation if is_managed_value(annotation) else None


def input_annotation(func: Any) -> Any:
    """Return the state class that a function's first parameter is annotated with, if any."""
    called = called_function(func)
    try:
        # The signature is of what is called, without `self`; annotations are of the function behind
        # it.
        parameter = next(iter(inspect.signature(called).parameters))
        hint = function_hints(annotated_function(called)).get(parameter)
    except (NameError, TypeError, ValueError, StopIteration):
        return None
    return state_class(hint)


def state_class(hint: Any) -> Any:
    """Return the hint if it is a class that declares the keys of a state, else None."""
    return hint if hint is not None and is_state_class(hint) else None


def called_function(action: Any) -> Any:
    """Return the function that a runnable was made of, anything else as it is."""
    while True:
        if isinstance(action, RunnableLambda):
            return getattr(action, "func", None) or action.afunc
        if not isinstance(action, RunnableBinding):
            return action
        action = action.bound


def annotated_function(func: Any) -> Any:
    """Return the function whose annotations say what a callable takes and returns.

    Of a partial it is the function it is of, of an object that is called its method.
    """
    func = called_function(func)
    while isinstance(func, functools.partial):
        func = func.func
    return func if inspect.isroutine(func) else getattr(func, "__call__", None)  # noqa: B004


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
    """Return an annotation without what it says of the key, and without the name of an alias."""
    while True:
        origin = get_origin(annotation)
        if origin in QUALIFIERS:
            (annotation,) = get_args(annotation)
        elif isinstance(annotation, ALIASES):
            annotation = annotation.__value__
        elif isinstance(origin, ALIASES):
            # An alias with parameters: what it stands for, with the arguments put in.
            annotation = origin.__value__[get_args(annotation)]
        else:
            return annotation


def _optional(annotation: Any) -> Any:
    """Return the one type besides `None` in a union, None for anything else."""
    if get_origin(annotation) not in (Union, UnionType):
        return None
    members = [member for member in get_args(annotation) if member is not NoneType]
    return _stripped(members[0]) if len(members) == 1 else None


def _named(name: str, channel: BaseChannel[Any, Any, Any]) -> BaseChannel[Any, Any, Any]:
    # For its messages: which key it was that got two writes.
    channel.key = name
    return channel


def other_names(builder: Any) -> dict[str, str]:
    """Return the aliases of a builder's keys that are no keys themselves -> the keys."""
    return {alias: key for alias, key in builder.aliases.items() if alias not in builder.channels}
