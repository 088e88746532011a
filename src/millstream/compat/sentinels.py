"""`langgraph._internal._typing`: the value that is none, and keywords that are gone."""

from __future__ import annotations

from typing import Any, Final

from typing_extensions import TypedDict

from millstream.constants import MISSING

__all__ = ("EMPTY_SEQ", "MISSING", "DeprecatedKwargs")

EMPTY_SEQ: Final[tuple[Any, ...]] = ()


class DeprecatedKwargs(TypedDict):
    """Keyword arguments nobody should use, for `**kwargs: Unpack[DeprecatedKwargs]`."""
