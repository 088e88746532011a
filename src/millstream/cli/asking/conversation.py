"""A conversation about one answer: a generator of what to ask, which is sent what was typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked next."""

    label: str
    """What stands before the cursor."""
    notes: tuple[str, ...] = ()
    """Lines above it."""


Conversation: TypeAlias = Generator[Ask, str, ValueT]
"""Yields what to ask, is sent what was typed, and returns the answer."""


class RefusedError(Exception):
    """What was typed is no answer; the message says what would be one."""


def until_right(ask: Ask, parse: Callable[[str], ValueT]) -> Conversation[ValueT]:
    """Ask until what is typed can be used."""
    while True:
        typed = yield ask
        try:
            return parse(typed)
        except RefusedError as error:
            # What was explained is on the screen already.
            ask = replace(ask, notes=(str(error),))


def choose(label: str, options: Sequence[str], notes: tuple[str, ...] = ()) -> Conversation[int]:
    """Ask for one of several, by its number or its text; return its place."""
    numbered = tuple(f"  {number}  {option}" for number, option in enumerate(options, 1))

    def parse(typed: str) -> int:
        text = typed.strip()
        if text in options:
            return options.index(text)
        if text.isdecimal() and 1 <= int(text) <= len(options):
            return int(text) - 1
        begun = [index for index, each in enumerate(options) if text and each.startswith(text)]
        if len(begun) == 1:
            return begun[0]
        raise RefusedError(f"type a number from 1 to {len(options)}")

    return (yield from until_right(Ask(label, (*notes, *numbered)), parse))


def confirm(label: str, default: bool | None = None) -> Conversation[bool]:
    """Ask for yes or no."""
    hint = {None: "y/n", True: "Y/n", False: "y/N"}[default]

    def parse(typed: str) -> bool:
        text = typed.strip().lower()
        if not text and default is not None:
            return default
        if text in ("y", "yes", "true"):
            return True
        if text in ("n", "no", "false"):
            return False
        raise RefusedError("type y or n")

    return (yield from until_right(Ask(f"{label} [{hint}]"), parse))


def read_json(typed: str) -> Any:
    """Return the value that JSON stands for."""
    try:
        return json.loads(typed)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"this is not JSON: {error}") from error


def read_freely(typed: str) -> Any:
    """Return the value of JSON, and any other text as it is."""
    text = typed.strip()
    if not text:
        raise RefusedError('type an answer; an empty one is written ""')
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
