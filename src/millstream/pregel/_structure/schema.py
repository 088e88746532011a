"""Pydantic models and JSON schemas of what a compiled graph takes and returns.

Only the parts that know nothing of authoring are here; `millstream.graph._builder.schema` adds what
a state class says. Model names are complete when they come in (`graph.get_name("Input")`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, create_model
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

from millstream._base.state_classes import class_of, declared_hints

REQUIRED: Final = ...

_FIELDS_CONFIG: Final = ConfigDict(
    arbitrary_types_allowed=True, frozen=True, protected_namespaces=()
)


# Type checkers read a literal `Annotated[...]` or `Union[...]` as an annotation.
_ANNOTATED: Final[Any] = Annotated
_UNION: Final[Any] = Union


class _Root(RootModel[Any]):
    model_config = ConfigDict(arbitrary_types_allowed=True)


def root_model(name: str, type_: Any, *, default: Any = REQUIRED) -> type[BaseModel]:
    """Return a model of one bare value; a pydantic model is its own schema."""
    if is_model(type_):
        return type_  # type: ignore[no-any-return]  # is_model cannot narrow Any
    model: type[BaseModel] = create_model(name, __base__=_Root, root=(portable(type_), default))
    return model


def fields_model(name: str, fields: Mapping[str, tuple[Any, Any]]) -> type[BaseModel]:
    """Return a frozen model with a `(type, default)` for every field.

    A field that would hide an attribute of `BaseModel`, or be private, is stored under
    `private_<name>`; its own name becomes the alias, so values and schemas do not show it.
    """
    definitions: dict[str, Any] = {}
    for field, (type_, default) in fields.items():
        if field.startswith("_") or field in _model_attributes():
            title = field.lstrip("_").replace("_", " ").title()
            info = Field(default, alias=field, title=title)
            definitions[f"private_{field}"] = (portable(type_), info)
        else:
            definitions[field] = (portable(type_), default)
    model: type[BaseModel] = create_model(name, __config__=_FIELDS_CONFIG, **definitions)
    return model


def channels_model(name: str, channels: str | Collection[str], types: Mapping[str, Any]) -> Any:
    """Return the model for one channel (a bare value) or several (optional fields)."""
    if isinstance(channels, str):
        return root_model(name, types[channels])
    return fields_model(name, {key: (types[key], None) for key in channels if key in types})


def config_model(
    name: str, context_schema: Any | None, include: Collection[str] | None = None
) -> type[BaseModel]:
    """Return the model of the run config: the context as `configurable`, plus the included keys."""
    fields: dict[str, tuple[Any, Any]] = {}
    if context_schema is not None:
        fields["configurable"] = (context_schema, None)
    for key, type_ in get_type_hints(RunnableConfig).items():
        # Its type is the context's, if there is one.
        if key in (include or ()) and key != "configurable":
            fields[key] = (type_, None)
    return fields_model(name, fields)


def context_json_schema(context_schema: Any | None) -> dict[str, Any] | None:
    """Return the JSON schema of the run context, `None` for a graph without one.

    Raises `ValueError` for a class that has no schema.
    """
    if context_schema is None:
        return None
    cls = class_of(context_schema)
    if is_model(cls) or is_typeddict(cls) or is_dataclass(cls):
        return type_json_schema(context_schema)
    raise ValueError(
        f"Invalid context schema type: {context_schema}. "
        "Must be a BaseModel, TypedDict or dataclass."
    )


def type_json_schema(type_: Any, *, by_alias: bool = True) -> dict[str, Any]:
    """Return the JSON schema pydantic derives for a type."""
    return TypeAdapter(portable(type_)).json_schema(by_alias=by_alias)


def is_model(type_: Any) -> bool:
    """Say whether a type is a pydantic model class."""
    return isinstance(type_, type) and issubclass(type_, BaseModel)


@cache  # bounded: there is one answer
def _model_attributes() -> frozenset[str]:
    return frozenset(dir(BaseModel))


def portable(type_: Any) -> Any:
    """Return an equal type that pydantic accepts on every Python.

    Before Python 3.12 pydantic refuses `typing.TypedDict`; each one inside the type is replaced by
    its `typing_extensions` twin. A TypedDict that contains itself becomes a plain dict there.
    """
    return type_ if sys.version_info >= (3, 12) else _rebuilt(type_, ())


def _rebuilt(type_: Any, outer: tuple[Any, ...]) -> Any:
    if is_typeddict(type_):
        return dict[str, Any] if type_ in outer else _rebuilt_typeddict(type_, outer)
    origin, args = get_origin(type_), get_args(type_)
    if is_typeddict(origin):
        return dict[str, Any] if type_ in outer else _rebuilt_typeddict(type_, outer)
    if origin is Annotated:
        base = _rebuilt(args[0], outer)
        new_args = (base, *args[1:])
        return type_ if base is args[0] else _ANNOTATED[new_args]
    # Arguments of a `Callable`, which pydantic does not look into.
    if not args or any(isinstance(arg, list) for arg in args):
        return type_
    new_args = tuple(_rebuilt(arg, outer) for arg in args)
    if all(new is old for new, old in zip(new_args, args, strict=True)):
        return type_
    if origin in (Union, UnionType):
        return _UNION[new_args]
    return type_.copy_with(new_args) if hasattr(type_, "copy_with") else origin[new_args]


def _rebuilt_typeddict(type_: Any, outer: tuple[Any, ...]) -> Any:
    hints = declared_hints(type_)
    fields = {key: _rebuilt(hint, (*outer, type_)) for key, hint in hints.items()}
    cls = class_of(type_)
    # One of `typing_extensions` in which nothing is refused can stay.
    is_refused = type(cls).__module__ == "typing"
    if not is_refused and all(fields[key] is hint for key, hint in hints.items()):
        return type_
    for key, hint in fields.items():
        if get_origin(hint) not in (Required, NotRequired):
            # Said of each key, because the twin inherits from nobody that could say it.
            fields[key] = Required[hint] if key in cls.__required_keys__ else NotRequired[hint]
    make: Any = TypedDict  # type checkers allow no computed name or fields
    twin = make(cls.__name__, fields)
    for attribute in ("__doc__", "__module__", "__pydantic_config__"):
        if hasattr(cls, attribute):
            setattr(twin, attribute, getattr(cls, attribute))
    return twin
