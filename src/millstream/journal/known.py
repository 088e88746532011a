"""What a process knows of lines that it has read or written, so that a step costs what changed.

Nothing here is ever needed: what is not known is read. And nothing of it can do harm when another
process has written meanwhile, because then the counter of the line is not the one that is known,
and what is to be written is refused. Parts never change, so those are known for good.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from typing import Final

from millstream._base.bounded import BoundedDict
from millstream.journal.again import Again
from millstream.journal.manifests import Manifest
from millstream.journal.rows import LineRow
from millstream.journal.states import State, Stored

_SECRET: Final = os.urandom(16)
"""So that nobody can make up two pieces that are taken for the same one."""
_FEW_PIECES: Final = 8
_ELEMENT: Final = 2000
"""Bytes that a message takes as an object, about, without its text."""
_PIECE: Final = 100
"""Bytes that are needed to know one, about."""
MOST_BYTES: Final = 64 << 20
"""What is known of values of all lines, but for the one that was used last."""


def digest(piece: bytes) -> bytes:
    """Return what stands for a piece in this process."""
    return blake2b(piece, digest_size=16, key=_SECRET).digest()


@dataclass(slots=True)
class Text:
    """The bytes of a channel's value that was read or written last."""

    stored: Stored
    data: bytes
    ends: list[int]
    """Where the piece of each item ends."""
    is_digested: bool = False
    """The parts are known by what they hold."""


class _States(BoundedDict[str, State]):
    """The states of a line that may be gone on from, by id."""

    size = 8


class _Parts(BoundedDict[bytes, int]):
    """Keys of parts, by digest."""

    size = 16_384


@dataclass(slots=True)
class KnownLine:
    """What is known of a line, as of its counter."""

    row: LineRow
    newest: str | None
    """The greatest id of its checkpoints."""
    is_new: bool = False
    """It is not stored yet."""
    last: int = 0
    """The number of its last row with a checkpoint, 0 if that is not known."""
    stubs: dict[str, int] | None = None
    """By id, numbers of rows that only have writes; None if nobody has looked for them."""
    states: _States = field(default_factory=_States)
    texts: dict[str, Text] = field(default_factory=dict)
    """By channel, values of some size."""
    again: dict[str, Again | None] = field(default_factory=dict)
    """By channel, how a value is made; None for one that was read once."""
    parts: _Parts = field(default_factory=_Parts)
    labels: set[tuple[str, str]] = field(default_factory=set)
    used: int = 0
    """When it was stored or read last, as its journal counts."""

    @property
    def size(self) -> int:
        """How many bytes what is known of values takes, about."""
        texts = sum(len(text.data) + _PIECE * len(text.ends) for text in self.texts.values())
        made = sum(
            len(each.data) + _ELEMENT * len(each.ends) for each in self.again.values() if each
        )
        return texts + made + 2 * _PIECE * len(self.parts)

    def forget_values(self) -> None:
        """Know nothing of values any more: they are read where they are needed."""
        self.texts.clear()
        self.again.clear()
        self.parts.clear()

    def digest_texts(self) -> None:
        """Know the parts of all texts by what they hold."""
        for text in self.texts.values():
            if not text.is_digested:
                text.is_digested = True
                for piece, item in pieces_of(text):
                    if type(item) is int:
                        self.parts[digest(piece)] = item


def pieces_of(text: Text) -> Iterator[tuple[bytes, bytes | int]]:
    """Yield the pieces of a text, each with its item."""
    start = 0
    for end, item in zip(text.ends, text.stored.items, strict=True):
        yield text.data[start:end], item
        start = end


def text_of(stored: Stored, parts: dict[int, bytes]) -> Text:
    """Return the bytes of a value, given those of its parts."""
    pieces = [item if isinstance(item, bytes) else parts[item] for item in stored.items]
    return Text(stored, b"".join(pieces), list(accumulate(map(len, pieces))))


def ranges_of(keys: Iterable[int], line_bits: int, gap: int = 0) -> list[tuple[int, int, int]]:
    """Return parts as rows of them: line, first and last number.

    With a gap, rows have others in them too, as many in a row as that.
    """
    mask = (1 << line_bits) - 1
    ranges: list[tuple[int, int, int]] = []
    first = last = -2
    for key in sorted(keys):
        if key > last + 1 + gap or (key ^ last) >> line_bits:
            if last >= 0:
                ranges.append((first >> line_bits, first & mask, last & mask))
            first = key
        last = key
    if last >= 0:
        ranges.append((first >> line_bits, first & mask, last & mask))
    return ranges


def is_few(items: Manifest) -> bool:
    """Say whether looking for them one by one is no work."""
    return len(items) <= _FEW_PIECES


class KnownLines(BoundedDict[tuple[str, str], KnownLine]):
    """By thread and namespace."""

    size = 256

    def __init__(self) -> None:
        self._uses = 0
        self._added = 0
        """Bytes, since somebody has looked how many there are."""

    def note_use(self, known: KnownLine, added: int) -> None:
        """Note that so much more is known of a line, and forget what was not used for longest."""
        self._uses += 1
        known.used = self._uses
        self._added += added
        if self._added <= MOST_BYTES // 4:
            return
        self._added = 0
        lines = sorted(self.values(), key=lambda line: line.used)
        sizes = [line.size for line in lines]
        left = sum(sizes)
        for line, size in zip(lines, sizes, strict=True):
            if left <= MOST_BYTES * 3 // 4 or line is known:
                return
            line.forget_values()
            left -= size
