"""Where serialized values are cut, so that what stays the same is stored once.

Any cut is right: pieces are joined to the very bytes that were cut. Where it is cut decides only
how much two values share. So nothing here can harm a value, not even bytes that are no msgpack at
all, and what is known of an earlier value may be used as a guess.

Cuts are between tokens of msgpack: around elements of lists and dicts that are large, around long
texts wherever they are, and after some small elements in a row, chosen by their content, so that
one that is put in or taken out moves few other cuts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, TypeAlias
from zlib import crc32

LARGE: Final = 256
"""Bytes from which on an element is a piece of its own."""
_LONGEST_ROW: Final = 1024
"""Bytes of small elements after which there is a cut, whatever they are."""
_DEEPEST: Final = 60
"""Levels that are looked into; what is below is one piece."""
_MOST_COUNTS: Final = 16
"""How often it is passed over that two values differ in the number of elements of a container."""

Segment: TypeAlias = tuple[int, int, bool]
"""Old pieces (the first, the one after the last, True) or new bytes (start, end, False)."""

_SCALAR, _TEXT, _LIST, _DICT, _OBJECT, _UNKNOWN = range(6)


def _tables() -> tuple[bytes, bytes, bytes, bytes]:
    """Return by first byte: kind, size of a scalar, how long a length is, what follows that."""
    kind, width, extra = bytearray(256), bytearray(256), bytearray(256)
    size = bytearray(b"\1" * 256)
    kind[0x80:0x90], kind[0x90:0xA0] = bytes([_DICT] * 16), bytes([_LIST] * 16)
    size[0xA0:0xC0] = range(1, 33)
    kind[0xC1] = _UNKNOWN
    size[0xCA:0xD9] = bytes((5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18))
    for first, what in ((0xC4, _TEXT), (0xD9, _TEXT), (0xC7, _OBJECT)):
        kind[first : first + 3], width[first : first + 3] = bytes([what] * 3), bytes((1, 2, 4))
    extra[0xC7:0xCA] = b"\1\1\1"
    kind[0xDC:0xE0] = bytes((_LIST, _LIST, _DICT, _DICT))
    width[0xDC:0xE0] = bytes((2, 4, 2, 4))
    return bytes(kind), bytes(size), bytes(width), bytes(extra)


_KIND, _SIZE, _WIDTH, _EXTRA = _tables()


def cut(data: bytes) -> list[int]:
    """Return where each piece ends."""
    return _cut(data, 0, len(data))


def compare(data: bytes, old: bytes, old_ends: list[int]) -> list[Segment]:
    """Return of which old and which new pieces the value consists, given an earlier one.

    What both begin and end with is found without a look at what is in it. A container that has
    grown has another number before its elements; such numbers are passed over.
    """
    found: list[Segment] = []
    start = here = there = 0
    """A new piece has begun at `start`; from `here` on, all is to be compared with `there`."""
    for _ in range(_MOST_COUNTS):
        same = common(data, here, old, there)
        first = 0 if there == 0 else bisect_left(old_ends, there) + 1
        last = bisect_right(old_ends, there + same)
        if last > first:
            begin = here + (old_ends[first - 1] if first else 0) - there
            if begin > start:
                found.append((start, begin, False))
            found.append((first, last, True))
            passed = old_ends[last - 1] - there
            here, there, same = here + passed, there + passed, same - passed
            start = here
        heads = _past_counts(data, here, old, there, same)
        if heads is None:
            break
        here, there = heads
    same = _common_at_end(data, here, old, there)
    first = bisect_left(old_ends, len(old) - same) + 1
    stop = len(data)
    if first < len(old_ends):
        stop -= len(old) - old_ends[first - 1]
    for end in _cut(data, here, stop):
        if end > start:
            found.append((start, end, False))
            start = end
    if first < len(old_ends):
        found.append((first, len(old_ends), True))
    return found


def common(data: bytes, here: int, old: bytes, there: int) -> int:
    """Return how many bytes are the same from two places on."""
    most = min(len(data) - here, len(old) - there)
    same, step = 0, 256
    while same < most:
        step = min(step, most - same)
        if data[here + same : here + same + step] == old[there + same : there + same + step]:
            same += step
            step *= 4
        else:
            most = same + step - 1  # the last byte may be the one that differs
            step = max(1, step // 8)
    return same


def _common_at_end(data: bytes, here: int, old: bytes, there: int) -> int:
    """Return how many bytes are the same before the ends, back to two places at most."""
    most = min(len(data) - here, len(old) - there)
    end, old_end = len(data), len(old)
    same, step = 0, 256
    while same < most:
        step = min(step, most - same)
        if data[end - same - step : end - same] == old[old_end - same - step : old_end - same]:
            same += step
            step *= 4
        else:
            most = same + step - 1
            step = max(1, step // 8)
    return same


def _past_counts(
    data: bytes, here: int, old: bytes, there: int, same: int
) -> tuple[int, int] | None:
    """Return the places behind the first difference if that is the size of a container."""
    target, ahead = here + same, there - here
    if target >= len(data) or target + ahead >= len(old):
        return None
    try:
        while (end := _after_token(data, here)) <= target:
            here = end
    except IndexError:
        return None
    kind = _KIND[data[here]]
    if kind not in (_LIST, _DICT, _OBJECT) or kind != _KIND[old[here + ahead]]:
        return None
    return end, _after_token(old, here + ahead)


def _after_token(data: bytes, pos: int) -> int:
    """Return where a scalar or text ends, or the first element of a container begins."""
    first = data[pos]
    kind = _KIND[first]
    if kind == _SCALAR:
        return pos + _SIZE[first]
    width = _WIDTH[first]
    end = pos + 1 + width + _EXTRA[first]
    return end + int.from_bytes(data[pos + 1 : pos + 1 + width], "big") if kind == _TEXT else end


def _cut(data: bytes, pos: int, stop: int) -> list[int]:
    """Return where the pieces of some elements in a row end."""
    ends: list[int] = []
    origin = pos
    try:
        while pos < stop:
            pos = _element(data, pos, ends, 0, is_object=False)
            if ends and pos - ends[-1] > _LONGEST_ROW:
                ends.append(pos)
    except (IndexError, ValueError):
        pass  # no msgpack, or too deep: what is left is one piece
    return [*sorted({end for end in ends if origin < end < stop}), stop]


def _element(data: bytes, pos: int, ends: list[int], depth: int, *, is_object: bool) -> int:
    """Add where there are cuts in one element; return where it ends.

    Inside of an object only texts are pieces: its fields are not what another one has too.
    """
    first = data[pos]
    kind = _KIND[first]
    if kind == _SCALAR:
        return pos + _SIZE[first]
    if kind == _UNKNOWN or depth > _DEEPEST:
        raise ValueError("no msgpack")
    width = _WIDTH[first]
    body = pos + 1 + width + _EXTRA[first]
    size = int.from_bytes(data[pos + 1 : pos + 1 + width], "big") if width else first & 15
    if kind == _TEXT:
        if size >= LARGE:
            ends += (pos, body + size)
        return body + size
    if kind == _OBJECT:
        if size >= LARGE:
            _inside(data, body, body + size, ends, depth)
        return body + size
    origin, pos = pos, body
    for _ in range(size if kind == _LIST else 2 * size):
        child, mark = pos, len(ends)
        pos = _element(data, pos, ends, depth + 1, is_object=is_object)
        row = pos - (ends[-1] if ends else origin)
        if pos - child >= LARGE:
            if not is_object:
                ends.insert(mark, child)
                ends.append(pos)
        elif row >= _LONGEST_ROW or (row >= LARGE and not crc32(data[child:pos]) & 7):
            ends.append(pos)
    return pos


def _inside(data: bytes, pos: int, end: int, ends: list[int], depth: int) -> None:
    """Add where there are cuts in what an object consists of, if that is msgpack too."""
    mark = len(ends)
    try:
        while pos < end:
            pos = _element(data, pos, ends, depth + 1, is_object=True)
    except (IndexError, ValueError):
        pos = -1
    if pos != end:
        del ends[mark:]


def end_of(data: bytes, pos: int) -> int:
    """Return where an element ends, whatever is in it.

    Raises:
        ValueError: It is no msgpack, or ends too early.
    """
    left = 1
    while left:
        left -= 1
        first = data[pos]
        kind = _KIND[first]
        if kind == _SCALAR:
            pos += _SIZE[first]
            continue
        if kind == _UNKNOWN:
            raise ValueError("no msgpack")
        width = _WIDTH[first]
        size = int.from_bytes(data[pos + 1 : pos + 1 + width], "big") if width else first & 15
        pos += 1 + width + _EXTRA[first]
        if kind in (_TEXT, _OBJECT):
            pos += size
        else:
            left += size if kind == _LIST else 2 * size
    if pos > len(data):
        raise ValueError("it ends too early")
    return pos
