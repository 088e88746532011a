"""What all bodies and queries have in common: null is no value, lists come in three forms."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")

JsonObject = dict[str, Any]
ListOf = Annotated[list[T], Field(fail_fast=True)]
"""A list; the first of its mistakes is told, however many there are."""
Limit = Annotated[int, Field(ge=1, le=1000)]
MAX_INTEGER: Final = 2**63 - 1
"""The largest that a database takes."""
Minutes = Annotated[float, Field(gt=0, le=1e9)]
"""How long something is kept: what is beyond is in a year that no calendar has."""
Offset = Annotated[int, Field(ge=0, le=MAX_INTEGER)]


class Asked(BaseModel):
    """What a caller asks for, as auth handlers see it: they may change it."""

    def asked(self) -> dict[str, Any]:
        """Return what a handler is given of it."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def take(self, value: Mapping[str, Any]) -> None:
        """Be what a handler has made of that; whose id it is about cannot change."""
        for name in type(self).model_fields:
            if name in value and not name.endswith(("_id", "ids")):
                self._put(name, value[name])

    def _put(self, name: str, given: Any) -> None:
        # What nobody has said stays unsaid: a change of something else must not change it too.
        default = type(self).model_fields[name].get_default(call_default_factory=True)
        if name in self.model_fields_set or given != default:
            setattr(self, name, given)


class Body(Asked):
    """The JSON object of a request; what is not known of it is passed by."""

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_no_value(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given


class Query(Asked):
    """The query of a request."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """Return what a query gives to the fields, before it is validated.

        A list comes as repeated keys, as text of JSON or with commas, depending on the client.
        """
        given: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            key = field.alias or name
            texts = [text for other, text in pairs if other == key]
            if not texts:
                continue
            if _is_list(field.annotation):
                given[key] = [item for text in texts for item in _items(text)]
            elif texts[-1] != "" or field.annotation is str:
                given[key] = texts[-1]
        return given


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def _items(text: str) -> list[str]:
    if text.startswith("["):
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        else:
            # What is nested in it is none of the values that there are.
            return [item if isinstance(item, str) else reprlib.repr(item) for item in parsed]
    return [item for item in text.split(",") if item]
