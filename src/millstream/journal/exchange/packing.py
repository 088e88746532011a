"""Bytes of msgpack taken apart and put together, without making what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ormsgpack import packb, unpackb

from millstream.journal.splitting import end_of

NIL: Final = b"\xc0"
_MAPS: Final = (0x80, 0xDE, 0xDF)
_LISTS: Final = (0x90, 0xDC, 0xDD)


def entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of a dict that has texts as keys.

    Raises:
        ValueError: It is none.
    """
    first = data[0] if data else 0
    if first & 0xF0 == _MAPS[0]:
        count, pos = first & 15, 1
    elif first in _MAPS[1:]:
        width = 2 if first == _MAPS[1] else 4
        count, pos = int.from_bytes(data[1 : 1 + width], "big"), 1 + width
    else:
        raise ValueError("it is no dict of msgpack")
    try:
        for _ in range(count):
            middle = end_of(data, pos)
            end = end_of(data, middle)
            name = unpackb(data[pos:middle])
            if not isinstance(name, str):
                raise ValueError(f"a key of it is no text: {name!r}")
            yield name, data[middle:end]
            pos = end
    except IndexError as error:
        raise ValueError("it ends in the middle of a dict") from error
    if pos != len(data):
        raise ValueError("something follows the end of a dict")


def packed_dict(items: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a dict, given its names and the bytes of its values."""
    pieces = [packb(name) + data for name, data in items]
    return _head(_MAPS, len(pieces)) + b"".join(pieces)


def packed_list(items: Iterable[bytes]) -> bytes:
    """Return a list, given the bytes of its elements."""
    pieces = list(items)
    return _head(_LISTS, len(pieces)) + b"".join(pieces)


def scalar_of(data: bytes) -> tuple[bool, Any]:
    """Return whether bytes are a text, number, bool or None, and which."""
    first = data[0] if data else 0xC1
    is_text = 0xA0 <= first < 0xC0 or 0xD9 <= first < 0xDC
    is_number = first < 0x80 or first >= 0xE0 or 0xCA <= first < 0xD4
    if is_text or is_number or first in (0xC0, 0xC2, 0xC3):
        return True, unpackb(data)
    return False, None


def _head(marks: tuple[int, int, int], count: int) -> bytes:
    if count < 16:
        return bytes((marks[0] | count,))
    if count < 1 << 16:
        return bytes((marks[1],)) + count.to_bytes(2, "big")
    return bytes((marks[2],)) + count.to_bytes(4, "big")
