"""Texts without NUL, which PostgreSQL has no place for: what they mean is kept exactly.

NUL becomes DLE and `0`, and DLE becomes DLE and `1`. In JSON both are escape sequences, so that
it is changed without being read.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

_NUL: Final = "\0"
_DLE: Final = "\x10"
_HIDDEN_NUL: Final = r"\u00100"
_HIDDEN_DLE: Final = r"\u00101"
_ESCAPES: Final = re.compile(r"\\(?:u0000|u0010|.)")
_HIDDEN_ESCAPES: Final = re.compile(r"\\(?:u0010[01]|.)")
_TO_HIDDEN: Final = {r"\u0000": _HIDDEN_NUL, r"\u0010": _HIDDEN_DLE}
_TO_SHOWN: Final = {hidden: escape for escape, hidden in _TO_HIDDEN.items()}


def hidden(text: str) -> str:
    """Return a text without NUL."""
    if _NUL in text or _DLE in text:
        return text.replace(_DLE, _DLE + "1").replace(_NUL, _DLE + "0")
    return text


def shown(text: str) -> str:
    """Return the text that was hidden."""
    if _DLE in text:
        return text.replace(_DLE + "0", _NUL).replace(_DLE + "1", _DLE)
    return text


def hidden_in_json(text: str) -> str:
    """Return JSON, as `encoding.dumps` makes it, in which no text has NUL."""
    if r"\u0000" in text or r"\u0010" in text:
        return _ESCAPES.sub(lambda match: _TO_HIDDEN.get(match[0], match[0]), text)
    return text


def shown_in_json(text: str) -> str:
    """Return the JSON that was hidden."""
    if r"\u0010" in text:
        return _HIDDEN_ESCAPES.sub(lambda match: _TO_SHOWN.get(match[0], match[0]), text)
    return text


class JsonText(TypeDecorator[str]):
    """JSON that is compared with what is stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the database is given."""
        return hidden_in_json(value) if is_postgres(dialect) else value


def is_postgres(dialect: Dialect) -> bool:
    """Say whether a dialect is that of PostgreSQL."""
    return dialect.name == "postgresql"
