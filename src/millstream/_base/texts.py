"""Texts of values whose class may fail to say what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ("ErrorText", "safe_str", "safe_repr")


class ErrorText(Exception):
    """Stands for an error where only its text is wanted, or can be had."""

    def __repr__(self) -> str:
        return str(self)


def safe_repr(value: Any) -> str:
    """Return the `repr` of a value, or its class and what failed."""
    return _text(repr, value)


def safe_str(error: BaseException) -> str:
    """Return the message of an error, or its class and what failed."""
    return _text(str, error)


def _text(make: Callable[[Any], str], value: Any) -> str:
    try:
        return make(value)
    except Exception as error:  # whatever the class raises
        return f"<{type(value).__name__} whose {make.__name__} failed with {type(error).__name__}>"
