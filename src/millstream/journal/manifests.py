"""What a stored value consists of: pieces that are parts, and bytes too few to be one.

A `Manifest` lists them in order. It is stored whole, or as what is different from the manifest of
the same channel one checkpoint before. Parts are numbered as they come up, so those of one value
mostly follow one another, and a row of them takes two small numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from millstream.journal.damage import DamagedRow

PART_BITS: Final = 30
"""Bits of a part's number; above them is that of the line that made it."""
_HIGHEST: Final = (1 << PART_BITS) - 1
_FEW: Final = 16
FEWEST: Final = 33
"""Bytes from which on a piece is a part and not stored in its manifest."""

Item: TypeAlias = "bytes | int"
"""Bytes themselves, or the key of a part."""
Manifest: TypeAlias = "list[Item]"


def part_key(line: int, number: int) -> int:
    """Return what a manifest calls a part."""
    return line << PART_BITS | number


def encode(items: Sequence[Item], home: int) -> list[Any]:
    """Return what is stored of items; those of the line `home` have short names.

    Bytes stand for themselves, a number for a part, `[number, count]` for parts in a row and
    `[number, count, line]` for those of another line. Numbers count from the end of the part
    before.
    """
    out: list[Any] = []
    base, last = home << PART_BITS, 0
    position, end = 0, len(items)
    while position < end:
        item = items[position]
        position += 1
        if isinstance(item, bytes):
            out.append(item)
            continue
        count = 1
        while position < end and items[position] == item + count:
            position += 1
            count += 1
        number = item - base
        if number >> PART_BITS:
            line, number = item >> PART_BITS, item & ((1 << PART_BITS) - 1)
            out.append([number - last, count, line])
        else:
            out.append(number - last if count == 1 else [number - last, count])
        last = number + count
    return out


def decode(stored: Iterable[Any], home: int, most: int) -> Manifest:
    """Return the items of what was stored; more than `most` are refused."""
    items: Manifest = []
    base, last = home << PART_BITS, 0
    for entry in stored:
        # Most are parts of the line itself, one or a few.
        if type(entry) is int and 0 <= last + entry <= _HIGHEST:
            last += entry
            items.append(base | last)
            last += 1
            continue
        if type(entry) is list and len(entry) == 2:
            number, count = entry
            if type(number) is type(count) is int and 0 < count <= _FEW:
                number += last
                if 0 <= number < _HIGHEST - _FEW and len(items) + count <= most:
                    last = number + count
                    items += range(base | number, base | last)
                    continue
        if isinstance(entry, bytes):
            items.append(entry)
            continue
        if not isinstance(entry, list) or len(entry) not in (2, 3):
            raise DamagedRow("a row of parts is neither two numbers nor three")
        number, count = entry[:2]
        line = entry[2] if len(entry) == 3 else home
        if not (type(number) is type(count) is type(line) is int):
            raise DamagedRow("a part has no number")
        number += last
        if number < 0 or count < 1 or (number + count) >> PART_BITS or line < 0:
            raise DamagedRow(f"there is no part {number}")
        if len(items) + count > most:
            raise DamagedRow(f"it has more than {most} parts")
        first = line << PART_BITS | number
        items += range(first, first + count)
        last = number + count
    return items


def changes(old: Sequence[Item], new: Sequence[Item]) -> list[tuple[int, int, Sequence[Item]]]:
    """Return a manifest as what stands between the beginning and the end that both have."""
    most, head, tail = min(len(old), len(new)), 0, 0
    while head < most and old[head] == new[head]:
        head += 1
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return [(0, head, new[head : len(new) - tail]), (len(old) - tail, tail, [])]


def encode_change(segments: Sequence[tuple[int, int, Sequence[Item]]], home: int) -> list[Any]:
    """Return what is stored of a manifest as a difference.

    A segment is how many items of the old manifest are kept, from which on, and what follows them.
    """
    out: list[Any] = []
    for first, count, added in segments:
        out += (first, count, encode(added, home))
    return out


def decode_change(stored: Sequence[Any], old: Manifest, home: int, most: int) -> Manifest:
    """Return the items of a manifest that was stored as a difference to another one."""
    items: Manifest = []
    for position in range(0, len(stored), 3):
        first, count, added = stored[position : position + 3]
        if not (type(first) is type(count) is int and isinstance(added, list)):
            raise DamagedRow("a difference is not made of numbers and lists")
        if first < 0 or count < 0 or first + count > len(old):
            raise DamagedRow(f"it keeps {count} items from {first} on of {len(old)}")
        items += old[first : first + count]
        if len(items) > most:
            raise DamagedRow(f"it has more than {most} parts")
        items += decode(added, home, most - len(items))
    return items
