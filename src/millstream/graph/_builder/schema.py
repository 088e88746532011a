"""Pydantic models and JSON schemas of a state graph, from its state classes and channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import NotRequired, Required, is_typeddict

from millstream._base.state_classes import class_of, declared_hints
from millstream.constants import ROOT
from millstream.pregel._structure.schema import (
    REQUIRED,
    fields_model,
    is_model,
    root_model,
    type_json_schema,
)


def input_model(name: str, schema: Any) -> type[BaseModel]:
    """Return the model of a state graph's input: the state class itself, wrapped if needed."""
    return root_model(name, schema)


def output_model(name: str, schema: Any, channels: Mapping[str, Any]) -> type[BaseModel]:
    """Return the model of a state graph's output: an optional field per output channel.

    A run may end before a key is written, hence optional. `channels` are the output channels.
    """
    if ROOT in channels:
        return root_model(name, schema)
    return fields_model(name, {key: (cell.ValueType, None) for key, cell in channels.items()})


def json_schema(
    name: str, schema: Any, channels: Mapping[str, Any], *, by_alias: bool = True
) -> dict[str, Any]:
    """Return the JSON schema of a state class, as input or as output.

    TypedDicts and pydantic models describe themselves. Of other classes the keys and defaults are
    used, with the types the graph's `channels` accept; keys without a channel are left out. What
    comes out of a graph has the names of its keys, not those of their aliases.
    """
    if is_typeddict(class_of(schema)) or is_model(schema):
        return type_json_schema(schema, by_alias=by_alias)
    if ROOT in channels:
        return root_model(name, channels[ROOT].UpdateType, default=None).model_json_schema()
    model = fields_model(name, dict(_class_fields(schema, channels)))
    return model.model_json_schema()


def _class_fields(
    schema: Any, channels: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    cls = class_of(schema)
    defaults = _dataclass_defaults(cls) if is_dataclass(cls) else {}
    for key, hint in declared_hints(schema).items():
        if key in channels:
            # What may be None need not be given.
            fallback = None if _is_optional(hint) else REQUIRED
            yield key, (channels[key].UpdateType, defaults.get(key, fallback))


def _dataclass_defaults(schema: Any) -> dict[str, Any]:
    defaults = {}
    for field in fields(schema):
        if field.default is not MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is not MISSING:
            defaults[field.name] = field.default_factory()
    return defaults


def _is_optional(hint: Any) -> bool:
    if get_origin(hint) in (Annotated, Required, NotRequired):
        return _is_optional(get_args(hint)[0])
    return get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)
