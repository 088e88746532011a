"""Keeping values of untracked channels away from savers.

The channel itself is never stored. But its value also travels: in the input, in the state that a
`Send` carries, in writes of tasks, into nested graphs. What is stored of all this is without the
entries that have the channel's name and value, however deep; so are states, which are dataclasses
or models, without the attribute. Under another name it is the very object that is left out: what
merely equals it is somebody else's, and so may be numbers and literals, of which there is one.

Without untracked channels nothing here is ever called.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from millstream._base.contents import fields_of
from millstream._base.texts import safe_repr
from millstream.constants import MISSING, START
from millstream.saving.copying import UNCHANGING
from millstream.types import Send

if TYPE_CHECKING:
    from millstream.core.cells import Cells
    from millstream.core.protocol import Write

logger = logging.getLogger(__name__)

SHORTEST_SECRET: Final = 6
"""Characters that a value's text must have to be looked for in texts of errors, and elsewhere."""
SHARED: Final = (type, Enum)
"""Objects of which there is one for everybody."""


class Untracked:
    """The untracked channels of a run and of those around it, and the values they have had."""

    __slots__ = ("_cells", "_enclosing", "_names", "_seen")

    def __init__(
        self, names: Collection[str], cells: Cells, enclosing: Untracked | None = None
    ) -> None:
        self._names = names
        self._cells = cells
        self._enclosing = enclosing
        self._seen: dict[str, list[Any]] = {}

    def values(self) -> Secrets:
        """Return by name all values that must not be stored."""
        known = Secrets() if self._enclosing is None else self._enclosing.values()
        for name in self._names:
            self._record(name, self._cells.get(name, MISSING))
        for name, seen in self._seen.items():
            known[name] = [*known.get(name, ()), *seen]
            known.objects |= {id(value): value for value in seen if _is_single(value)}
        return known

    def from_writes(self, writes: Iterable[Write]) -> list[Write]:
        """Return what may be stored of the writes."""
        kept = []
        for name, value in writes:
            if name in self._names:
                self._record(name, value)
            else:
                kept.append((name, self._state(name, value)))
        known = self.values()
        for name, value in kept:
            if id(value) in known.objects and name not in known:
                logger.warning(
                    "State key %r holds the value of an untracked key and is not stored: write a "
                    "copy if it is to be",
                    name,
                )
        return [(n, _without(v, known)) for n, v in kept if not _is_secret(n, v, known)]

    def from_checkpoint(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return what may be stored of a checkpoint."""
        return {**checkpoint, "channel_values": self.from_values(checkpoint["channel_values"])}

    def from_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be stored of the channels' values, or of metadata."""
        kept = {name: self._state(name, value) for name, value in values.items()}
        known = self.values()
        return {n: _without(v, known) for n, v in kept.items() if not _is_secret(n, v, known)}

    def from_text(self, text: str) -> str:
        """Return the text, with names where it contains values."""
        texts = [
            (value if isinstance(value, str) else safe_repr(value), name)
            for name, values in self.values().items()
            for value in values
        ]
        # The longest first: one may be in another.
        for secret, name in sorted(texts, key=lambda pair: -len(pair[0])):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, f"<{name}>")
        return text

    def _state(self, channel: str, value: Any) -> Any:
        """Return an input or what is sent without the channels' entries, whatever they hold."""
        if channel == START:
            return self._without_names(value)
        if isinstance(value, Send):
            return _resent(value, self._without_names(value.arg))
        if type(value) is list and any(isinstance(item, Send) for item in value):
            return [self._state("", item) for item in value]
        return value

    def _without_names(self, state: Any) -> Any:
        kept = state
        for name in self._names:
            item = _item(state, name)
            if item is not MISSING:
                self._record(name, item)
                kept = _removed(kept, [name])
        return kept

    def _record(self, name: str, value: Any) -> None:
        seen = self._seen.setdefault(name, [])
        if value is not MISSING and value is not None and not any(value is old for old in seen):
            seen.append(value)


class Secrets(dict[str, "list[Any]"]):
    """The values of untracked channels, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[int, Any] = {}
        """Those that are themselves under any name, by their `id`."""


def _is_single(value: Any) -> bool:
    """Say whether whoever has the object has it from whoever made it."""
    kind = type(value)
    if kind in (str, bytes):
        return len(value) >= SHORTEST_SECRET and not (kind is str and _is_literal(value))
    return value != () if kind is tuple else not (kind in UNCHANGING or isinstance(value, SHARED))


def _is_literal(text: str) -> bool:
    """Say whether the interpreter has one such text for all who write it down."""
    return sys.intern("".join(text)) is text


def _is_secret(name: Any, value: Any, known: Secrets) -> bool:
    """Say whether it is an untracked channel's name and a value that it has had, or that object."""
    return id(value) in known.objects or (
        type(name) is str
        and name in known
        and any(value is old or _equals(value, old) for old in known[name])
    )


def _equals(value: Any, old: Any) -> bool:
    if type(value) is not type(old):
        return False
    try:
        return bool(value == old)
    except Exception:  # whatever a class raises that cannot be compared
        return False


def _without(value: Any, known: Secrets) -> Any:
    """Return the value without entries of that name and value; itself if there are none."""
    if type(value) in UNCHANGING:
        return value
    objects = known.objects
    if isinstance(value, Send):
        arg = None if id(value.arg) in objects else _without(value.arg, known)
        return _resent(value, arg)
    if type(value) is tuple:
        items = [None if id(item) in objects else _without(item, known) for item in value]
        return value if all(map(_is, items, value)) else tuple(items)
    if isinstance(value, (list, deque, set)):
        items = [_without(item, known) for item in value if id(item) not in objects]
        if len(items) == len(value) and all(map(_is, items, value)):
            return value
        return deque(items, value.maxlen) if isinstance(value, deque) else type(value)(items)
    fields = fields_of(value)
    gone = [name for name, item in fields.items() if _is_secret(name, item, known)]
    changed = {}
    for name, item in fields.items():
        if name not in gone and (kept := _without(item, known)) is not item:
            changed[name] = kept
    return _removed(value, gone, changed) if gone or changed else value


def _is(one: Any, other: Any) -> bool:
    return one is other


def _resent(packet: Send, arg: Any) -> Send:
    return packet if arg is packet.arg else Send(packet.node, arg, timeout=packet.timeout)


def _item(state: Any, name: str) -> Any:
    return fields_of(state).get(name, MISSING)


def _removed(value: Any, gone: Iterable[Any], changed: Mapping[Any, Any] | None = None) -> Any:
    """Return a copy without some entries, and with others changed.

    Where an attribute has to be there it is None.
    """
    if isinstance(value, tuple):
        return value._replace(**dict.fromkeys(gone), **(changed or {}))  # type: ignore[attr-defined]  # a named one
    twin = copy.copy(value)
    if isinstance(value, dict) or hasattr(value, "__pydantic_fields_set__"):
        fields = twin if isinstance(value, dict) else twin.__dict__
        for name in gone:
            del fields[name]
        fields.update(changed or {})
        return twin
    for name, item in {**dict.fromkeys(gone), **(changed or {})}.items():
        object.__setattr__(twin, name, item)
    return twin
