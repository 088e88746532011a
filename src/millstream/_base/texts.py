"""Texts of values whose class may fail to say what they are, and texts that a terminal obeys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ("BIDIRECTIONAL", "ErrorText", "counted", "safe_str", "safe_repr", "visible")

BIDIRECTIONAL: Final = (0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Characters that have text read in another order than it is stored."""
_PICTURES: Final[dict[int, int]] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    **dict.fromkeys(BIDIRECTIONAL, 0xFFFD),
}


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


def counted(number: int, thing: str) -> str:
    """Return how many of a thing there are."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def visible(text: str) -> str:
    """Return text with a picture in the place of each control character; as long as it was."""
    return text.translate(_PICTURES)
