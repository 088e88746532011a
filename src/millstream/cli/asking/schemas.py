"""Ask for a value that a JSON schema describes, one part after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from millstream.cli.asking.conversation import (
    Ask,
    Conversation,
    RefusedError,
    choose,
    confirm,
    read_freely,
    read_json,
    until_right,
)

ABSENT: Final = object()
"""Stands for an optional part that was left out."""
_DEPTH: Final = 6
"""What is nested more deeply is asked for as JSON."""
_LIMITS: Final[tuple[tuple[str, Callable[[Any, Any], bool], str], ...]] = (
    ("minimum", lambda value, limit: value >= limit, "at least"),
    ("exclusiveMinimum", lambda value, limit: value > limit, "more than"),
    ("maximum", lambda value, limit: value <= limit, "at most"),
    ("exclusiveMaximum", lambda value, limit: value < limit, "less than"),
)


def answer(schema: Any, label: str = "answer") -> Conversation[Any]:
    """Ask for what a question's `response_schema` describes; freely where there is none."""
    if not isinstance(schema, Mapping) or not schema:
        return (yield from _freely(label))
    return (yield from _Form(schema).value(schema, label))


def _freely(label: str) -> Conversation[Any]:
    return (yield from until_right(Ask(f"{label} (text or JSON)"), read_freely))


class _Form:
    """The parts of one schema, which may refer to each other."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def value(
        self, schema: Any, label: str, *, is_required: bool = True, depth: int = 0
    ) -> Conversation[Any]:
        """Ask for one part; `ABSENT` where it may be left out, and was."""
        schema, may_be_null = self._plain(schema)
        notes = _notes(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            options = list(schema["enum"]) + ([None] if may_be_null else [])
            texts = [each if isinstance(each, str) else json.dumps(each) for each in options]
            return options[(yield from choose(label, texts, notes))]
        if "anyOf" in schema:
            return (yield from self._one_of(schema["anyOf"], label, depth))
        kind = schema.get("type")
        if kind == "boolean" and not may_be_null and is_required:
            return (yield from confirm(label, schema.get("default")))
        if (
            kind == "object"
            and _as_mapping(schema.get("properties"))
            and depth < _DEPTH
            and is_required
        ):
            return (yield from self._object(schema, label, depth))
        if kind == "array" and is_required and self._is_scalar(schema.get("items")):
            return (yield from self._array(schema, label, depth))
        return (yield from _single(schema, label, notes, is_required, may_be_null))

    def _plain(self, schema: Any) -> tuple[Mapping[str, Any], bool]:
        """Return a schema without references, and whether it may be null besides."""
        may_be_null = False
        for _ in range(_DEPTH):
            schema = schema if isinstance(schema, Mapping) else {}
            more = {key: value for key, value in schema.items() if key not in _JOINED}
            if "$ref" in schema:
                schema = {**self._referred(schema["$ref"]), **more}
                continue
            joined = next((schema[key] for key in _JOINED if key in schema), None)
            if joined is None:
                break
            rest = [each for each in joined if each != {"type": "null"}]
            may_be_null = may_be_null or len(rest) < len(joined)
            if not rest:
                return {**more, "const": None}, True
            if len(rest) != 1:
                return {**more, "anyOf": rest}, may_be_null
            schema = {**_as_mapping(rest[0]), **more}
        kinds = schema.get("type")
        if isinstance(kinds, list):
            named = [kind for kind in kinds if kind != "null"]
            may_be_null = may_be_null or "null" in kinds
            schema = {**schema, "type": named[0] if len(named) == 1 else None}
        return schema, may_be_null

    def _referred(self, name: Any) -> Mapping[str, Any]:
        found: Any = self._root
        for part in str(name).removeprefix("#").split("/"):
            if part:
                found = _as_mapping(found).get(part.replace("~1", "/").replace("~0", "~"))
        return _as_mapping(found)

    def _is_scalar(self, schema: Any) -> bool:
        plain, _ = self._plain(schema)
        # What is known before it is asked for, and what nothing stands for, would have no end.
        is_open = not plain.keys() & {"enum", "const", "default"}
        return is_open and plain.get("type") in ("string", "integer", "number")

    def _one_of(self, variants: Sequence[Any], label: str, depth: int) -> Conversation[Any]:
        names = [_name_of(self._plain(each)[0]) for each in variants]
        index = yield from choose(f"{label}, which kind", names)
        return (yield from self.value(variants[index], label, depth=depth + 1))

    def _object(self, schema: Mapping[str, Any], label: str, depth: int) -> Conversation[Any]:
        required = schema.get("required") or ()
        made = {}
        for name, part in schema["properties"].items():
            inner = name if label == "answer" else f"{label}.{name}"
            value = yield from self.value(
                part, inner, is_required=name in required, depth=depth + 1
            )
            if value is not ABSENT:
                made[name] = value
        return made

    def _array(self, schema: Mapping[str, Any], label: str, depth: int) -> Conversation[Any]:
        made: list[Any] = []
        items, least = schema.get("items"), schema.get("minItems", 0)
        while len(made) < schema.get("maxItems", len(made) + 1):
            inner = f"{label}[{len(made) + 1}], nothing ends"
            value = yield from self.value(items, inner, is_required=False, depth=depth + 1)
            if value is not ABSENT:
                made.append(value)
            elif len(made) >= least:
                break
        return made


_JOINED: Final = ("$ref", "anyOf", "oneOf", "allOf")


def _single(
    schema: Mapping[str, Any],
    label: str,
    notes: tuple[str, ...],
    is_required: bool,
    may_be_null: bool,
) -> Conversation[Any]:
    """Ask for what is typed in one line."""
    hints = [_hint(schema)]
    if "default" in schema:
        hints.append(f"nothing: {json.dumps(schema['default'], ensure_ascii=False)}")
    elif not is_required:
        hints.append("nothing leaves it out")
    elif may_be_null:
        hints.append("nothing: null")

    def parse(typed: str) -> Any:
        if not typed.strip():
            if "default" in schema:
                return schema["default"]
            if not is_required:
                return ABSENT
            if may_be_null:
                return None
        return _parsed(schema, typed)

    hint = ", ".join(each for each in hints if each)
    return (yield from until_right(Ask(f"{label} ({hint})" if hint else label, notes), parse))


def _parsed(schema: Mapping[str, Any], typed: str) -> Any:
    kind = schema.get("type")
    if kind == "string":
        return _text(schema, typed)
    if kind == "integer":
        return _number(schema, typed, int, "a whole number")
    if kind == "number":
        return _number(schema, typed, float, "a number")
    if kind == "boolean":
        text = typed.strip().lower()
        if text in ("y", "yes", "true", "n", "no", "false"):
            return text[0] in "yt"
        raise RefusedError("type y or n")
    if kind is None:
        return read_freely(typed)
    value = read_json(typed)
    wanted, name = {"object": (dict, "an object"), "array": (list, "an array")}.get(
        kind, (object, "")
    )
    if not isinstance(value, wanted):
        raise RefusedError(f"type {name} of JSON")
    return value


def _text(schema: Mapping[str, Any], typed: str) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if len(typed) < least:
        raise RefusedError(f"type at least {least} character{'' if least == 1 else 's'}")
    if most is not None and len(typed) > most:
        raise RefusedError(f"type at most {most} character{'' if most == 1 else 's'}")
    pattern = schema.get("pattern")
    if pattern is not None:
        try:
            fits = re.search(pattern, typed) is not None
        except re.error:
            # It is of another dialect: whoever asks will say.
            fits = True
        if not fits:
            raise RefusedError(f"type text that matches {pattern}")
    return typed


def _number(schema: Mapping[str, Any], typed: str, kind: type, name: str) -> Any:
    try:
        value = kind(typed.strip())
    except (ValueError, OverflowError):
        raise RefusedError(f"type {name}") from None
    for key, holds, words in _LIMITS:
        limit = schema.get(key)
        if limit is not None and not holds(value, limit):
            raise RefusedError(f"type {name} of {words} {limit}")
    return value


def _notes(schema: Mapping[str, Any]) -> tuple[str, ...]:
    text = schema.get("description")
    return (str(text),) if text else ()


def _hint(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if kind is None:
        return "text or JSON"
    if kind in ("object", "array"):
        return "JSON"
    name = {"integer": "a whole number", "number": "a number", "boolean": "y/n"}.get(kind, "")
    return name or str(schema.get("format", ""))


def _name_of(schema: Mapping[str, Any]) -> str:
    name = schema.get("title") or schema.get("const") or schema.get("type") or "anything"
    return str(name)


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
