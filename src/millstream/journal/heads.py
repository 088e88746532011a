"""What whoever reads a thread takes for its newest checkpoint, and goes on from.

LangGraph does not tell a saver which run a call belongs to. But a run reads its thread in one
context and stores in copies of it, and so does nearly every program. So what was read is noted in
the context: others who look at the same checkpoint, by its id or as the newest one, have contexts
of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeAlias

_Key: TypeAlias = "tuple[int, str, str]"
_MOST_LINES: Final = 16
"""Threads and namespaces of which one context has heads: those that were read last."""
_MOST_HEADS: Final = 4
"""Of one line: a program may look at others while a run goes on."""
_TOKENS: Final = itertools.count()


@dataclass(slots=True)
class Head:
    """A checkpoint that somebody goes on from; copies of the context share it."""

    id: str | None
    """None where nothing was stored yet."""
    is_named: bool
    """It was asked for by its id, so going on from it is meant even if there is a newer one."""

    def advance(self, id: str) -> None:
        """Go on from a checkpoint that was stored on top of it."""
        self.id, self.is_named = id, False


Heads: TypeAlias = "Mapping[_Key, tuple[Head, ...]]"
_HEADS: Final[ContextVar[Heads]] = ContextVar("millstream_journal_heads")
_NONE: Final[Heads] = {}


class Readers:
    """Those who read one journal."""

    def __init__(self) -> None:
        self._token = next(_TOKENS)

    def note(self, thread_id: str, ns: str, id: str | None, *, is_named: bool) -> None:
        """Note in this context what was read."""
        key = (self._token, thread_id, ns)
        heads = dict(_HEADS.get(_NONE))
        before = heads.pop(key, ())
        heads[key] = (Head(id, is_named), *before[: _MOST_HEADS - 1])
        if len(heads) > _MOST_LINES:
            del heads[next(iter(heads))]
        _HEADS.set(heads)

    def heads(self) -> Heads:
        """Return what this context has read."""
        return _HEADS.get(_NONE)

    def head(self, heads: Heads, thread_id: str, ns: str, id: str | None) -> Head | None:
        """Return what was noted of a checkpoint, None if it was not read there."""
        for head in heads.get((self._token, thread_id, ns), ()):
            if head.id == id:
                return head
        return None
