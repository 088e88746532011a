"""What a state class declares: its keys, their first values and other names, how one is made.

A state class is a TypedDict, a dataclass, a pydantic model or any other class with annotations, or
one of these with its type variables filled in: `State[int]`.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import GenericAlias, MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Generic, Protocol, TypeVar, get_args, get_origin

from typing_extensions import get_type_hints

from millstream.constants import MISSING

__all__ = (
    "NO_ALIASES",
    "aliases_of",
    "by_name",
    "class_of",
    "declared_hints",
    "first_values",
    "is_state_class",
    "maker_of",
)

NO_ALIASES: Final[Mapping[str, str]] = MappingProxyType({})

_NO_KEYS: Final = (Generic, Protocol, object)
# Type checkers read a literal `Annotated[...]` as an annotation.
_ANNOTATED: Final[Any] = Annotated


def class_of(schema: Any) -> Any:
    """Return the class behind `State[int]`, anything else as it is."""
    if isinstance(schema, type) and not isinstance(schema, GenericAlias):
        return schema  # at once, because it is asked for every node
    origin = get_origin(schema)
    if origin is Annotated or not inspect.isclass(origin):
        return schema
    return origin if hasattr(origin, "__annotations__") else schema


def is_state_class(schema: Any) -> bool:
    """Say whether this is a class that declares keys."""
    cls = class_of(schema)
    return inspect.isclass(cls) and bool(getattr(cls, "__annotations__", None))


def declared_hints(schema: Any) -> dict[str, Any]:
    """Return the keys of a state class with their annotations, type variables filled in.

    What belongs to the class itself is no key: `ClassVar`s, and what marks keyword-only fields.
    """
    hints = _filled(schema, {})
    return {key: hint for key, hint in hints.items() if key != "__slots__" and _is_key(hint)}


def _is_key(hint: Any) -> bool:
    return (
        hint is not dataclasses.KW_ONLY
        and hint is not ClassVar
        and get_origin(hint) is not ClassVar
    )


def _filled(schema: Any, outer: Mapping[Any, Any]) -> dict[str, Any]:
    """Return all hints of a class, with what its bases and itself are given for variables."""
    cls = class_of(schema)
    hints = get_type_hints(cls, include_extras=True)
    fields = _pydantic_fields(cls)
    # Pydantic makes a class of its own for filled in variables, and fills them in itself.
    if fields is not None and getattr(cls, "__pydantic_generic_metadata__", None):
        return {key: _of_pydantic(hint, fields.get(key)) for key, hint in hints.items()}
    given = [_with_variables(argument, outer) for argument in get_args(schema)]
    bound = dict(zip(getattr(cls, "__parameters__", ()), given, strict=False))
    for base in _generic_bases(cls):
        plain = get_type_hints(class_of(base), include_extras=True)
        for key, hint in _filled(base, bound).items():
            # What the class says itself about the key counts more.
            if hints.get(key) == plain[key]:
                hints[key] = hint
    return {key: _with_variables(hint, bound) for key, hint in hints.items()} if bound else hints


def _generic_bases(cls: Any) -> Iterable[Any]:
    """Yield the bases of a class that are generic, or have bases that are."""
    bases: tuple[Any, ...] = getattr(cls, "__orig_bases__", ())
    for base in bases:
        parent = class_of(base)
        if not inspect.isclass(parent) or parent in _NO_KEYS:
            continue
        if get_origin(base) is not None or any(True for _ in _generic_bases(parent)):
            yield base


def _variables(hint: Any) -> Sequence[Any]:
    variables = getattr(hint, "__parameters__", None)
    return variables if isinstance(variables, tuple) else ()


def _with_variables(hint: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    variables = _variables(hint)
    if not variables or get_origin(hint) is None:
        return hint
    return hint[tuple(bound.get(variable, variable) for variable in variables)]


def _of_pydantic(hint: Any, info: Any) -> Any:
    """Return the hint of a field; a model of filled in variables has them in its fields alone."""
    if info is None or not (isinstance(hint, TypeVar) or _variables(hint)):
        return hint
    arguments = (info.annotation, *info.metadata)
    return _ANNOTATED[arguments] if info.metadata else info.annotation


def first_values(schema: Any) -> dict[str, Callable[[], Any]]:
    """Return what makes the first values of those keys that have one by declaration.

    `None` is not a value to start from but says that there is none.
    """
    cls = class_of(schema)
    pydantic_fields = _pydantic_fields(cls)
    if pydantic_fields is not None:
        makers = _first_of_pydantic(pydantic_fields)
    elif dataclasses.is_dataclass(cls):
        makers = _first_of_dataclass(cls)
    else:
        makers = _first_of_class(cls)
    return dict(makers)


def _first_of_pydantic(fields: Mapping[str, Any]) -> Iterable[tuple[str, Callable[[], Any]]]:
    for name, info in fields.items():
        # A factory that looks at other fields has none to look at before there is a state.
        if info.is_required() or getattr(info, "default_factory_takes_validated_data", False):
            continue
        if info.default_factory is not None or info.default is not None:
            yield name, partial(info.get_default, call_default_factory=True)


def _first_of_dataclass(cls: Any) -> Iterable[tuple[str, Callable[[], Any]]]:
    for field in dataclasses.fields(cls):
        if field.default_factory is not dataclasses.MISSING:
            yield field.name, field.default_factory
        elif field.default is not dataclasses.MISSING and field.default is not None:
            # A copy for each thread: a reducer may change the value in place.
            yield field.name, partial(copy.deepcopy, field.default)


def _first_of_class(cls: Any) -> Iterable[tuple[str, Callable[[], Any]]]:
    for name in declared_hints(cls):
        value = inspect.getattr_static(cls, name, MISSING)
        # A descriptor, such as that of a slot, is no value.
        if value is not MISSING and value is not None and not hasattr(value, "__get__"):
            yield name, partial(copy.deepcopy, value)


def aliases_of(schema: Any) -> dict[str, str]:
    """Return the other names under which a pydantic class takes its fields."""
    fields = _pydantic_fields(class_of(schema)) or {}
    return {
        alias: name
        for name, info in fields.items()
        for alias in _aliases(info)
        if alias not in fields
    }


def by_name(
    update: Iterable[tuple[str, Any]], aliases: Mapping[str, str]
) -> Iterable[tuple[str, Any]]:
    """Return an update with the keys' own names; a value under that name counts before others."""
    if not aliases:
        return update
    update = list(update)
    named = {key for key, _ in update}
    return [
        (name, value)
        for key, value in update
        if (name := aliases.get(key, key)) == key or name not in named
    ]


def _aliases(info: Any) -> list[str]:
    """Return the names a field may be given by, instead of its own: the first is as good as any."""
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    choices = getattr(alias, "choices", (alias,))
    return [choice for choice in choices if isinstance(choice, str)]


def maker_of(schema: Any) -> Callable[[dict[str, Any]], Any] | None:
    """Return what makes an instance from values by key, None for classes of plain dicts."""
    cls = class_of(schema)
    fields = _pydantic_fields(cls)
    if fields is None:
        return partial(_construct, cls) if dataclasses.is_dataclass(cls) else None
    names = {name: aliases[0] for name, info in fields.items() if (aliases := _aliases(info))}
    return partial(_construct_renamed, cls, names) if names else partial(_construct, cls)


def _construct(cls: Any, values: dict[str, Any]) -> Any:
    return cls(**values)


def _construct_renamed(cls: Any, names: Mapping[str, str], values: dict[str, Any]) -> Any:
    return cls(**{names.get(key, key): value for key, value in values.items()})


def _pydantic_fields(cls: Any) -> Mapping[str, Any] | None:
    """Return the fields of a pydantic model or dataclass, None for any other class."""
    fields = getattr(cls, "__pydantic_fields__", None)
    if fields is None:
        fields = getattr(cls, "model_fields", None)
    return fields if isinstance(fields, Mapping) else None
