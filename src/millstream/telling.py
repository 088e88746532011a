"""Texts of values whose class may fail to say what they are."""

from __future__ import annotations

from typing import Any

__all__ = ("ToldError", "told")


class ToldError(Exception):
    """Stands for an error where only its text is wanted, or can be had."""

    def __repr__(self) -> str:
        return str(self)


def told(value: Any) -> str:
    """Return the `repr` of a value, or its class and what failed."""
    try:
        return repr(value)
    except Exception as error:  # whatever the class raises
        return f"<{type(value).__name__} whose repr failed with {type(error).__name__}>"
