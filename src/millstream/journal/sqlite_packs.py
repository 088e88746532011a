"""Old rows of a line, many in one: what a long thread has takes less room, and is read at once.

A window is so many numbers of a line in a row. When a line has left one, and something with
parts is stored, the window becomes one row: the bodies of its checkpoints and what tasks wrote,
compressed together, because they say nearly the same again and again, and its parts, of which the
short ones are compressed. Long ones are texts as a rule: those are read as fast as they can be.

Checkpoints keep a row of their own, by which they are found. Bytes that are in the pack are none
there, which nothing else is. Parts of some pages stay where they are: nobody wants to read all of
them for one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ormsgpack import packb, unpackb

from millstream.journal.sealing import PACKED, PLAIN
from millstream.journal.sqlite_schema import BITS, MASK, Execute

WINDOW: Final = 8
"""Bits of a number within its window. Rows are found by it: never changed."""
_LONG: Final = 512
"""Bytes from which on a part is not compressed."""
_LARGE: Final = 4096
"""Bytes from which on a part keeps its own row."""
_MOST: Final = 1 << 28
"""Bytes of a pack when it is no longer compressed."""
_MOST_WINDOWS: Final = 4
"""How many are packed with one commit, where there are older ones too."""
_SIZE: Final = 4
IN_PACK: Final = b""
"""What stands in the row of a checkpoint for bytes that are in the pack."""
Entry = tuple[Any, Any]
"""The body of a checkpoint and what tasks wrote, None where its row has them, or there is none."""

Part = tuple[int, "bytes | None"]
"""The number and the body of a part, None where it has a row of its own."""


def window_of(key: int) -> int:
    """Return the key of the pack that may have a number."""
    return key >> WINDOW << WINDOW


def windows_of(first: int, last: int) -> range:
    """Return the keys of the packs that may have some of these numbers."""
    return range(window_of(first), last + 1, 1 << WINDOW)


def pack(execute: Execute, line: int, counter: int) -> None:
    """Pack what a line has left."""
    base = line << BITS
    end = window_of(base | counter)
    query = "SELECT max(key) FROM journal_packs WHERE key BETWEEN ? AND ?"
    [(last,)] = execute(query, (base, base | MASK)).fetchall()
    start = base if last is None else last + (1 << WINDOW)
    for _ in range(_MOST_WINDOWS):
        if start >= end:
            return
        first = execute(
            "SELECT min(key) FROM (SELECT min(key) AS key FROM journal_parts WHERE key >= ? "
            "AND key < ? UNION ALL SELECT min(key) FROM journal_checkpoints WHERE key >= ? "
            "AND key < ?)",
            (start, end, start, end),
        ).fetchone()[0]
        if first is None:
            return
        _pack_window(execute, window_of(first))
        start = window_of(first) + (1 << WINDOW)


def _pack_window(execute: Execute, window: int) -> None:
    between = "WHERE key >= ? AND key < ?"
    span = (window, window + (1 << WINDOW))
    rows = execute(f"SELECT * FROM journal_checkpoints {between} ORDER BY key", span).fetchall()
    parts = execute(f"SELECT key, body FROM journal_parts {between} ORDER BY key", span).fetchall()
    # Anew, so that they are next to each other: rows that only get shorter leave gaps.
    execute(f"DELETE FROM journal_checkpoints {between}", span)
    execute(f"DELETE FROM journal_parts {between} AND length(body) < {_LARGE}", span)
    entries: dict[int, Entry] = {}
    for key, id, late, root, home, at, body, of, writes in rows:
        if body is not None or writes is not None:
            entries[key - window] = (_opened(body), _opened(writes))
        lean = [None if each is None else IN_PACK for each in (body, writes)]
        execute(
            "INSERT INTO journal_checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, id, late, root, home, at, lean[0], of, lean[1]),
        )
    bodies = [(key - window, body if len(body) < _LARGE else None) for key, body in parts]
    query = "INSERT INTO journal_packs VALUES (?, ?, ?)"
    execute(query, (window, _packed_entries(entries), _packed_parts(bodies)))


def _opened(body: bytes | None) -> bytes | None:
    """Return bytes that were compressed as they were: together with others they take less."""
    if body is not None and body[:1] == PACKED:
        try:
            return PLAIN + _decompressed(body[1:])
        except (ValueError, zlib.error):
            return body
    return body


def _decompressed(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(data, _MOST)
    if not unpacking.eof:
        raise ValueError("what is compressed has no end")
    return found


def _packed_entries(entries: dict[int, Entry]) -> bytes | None:
    if not entries:
        return None
    return zlib.compress(packb([(number, *each) for number, each in entries.items()]))


def _entries(packed: bytes | None) -> dict[int, Entry]:
    """Return by number what a pack has of checkpoints; nothing where that makes no sense."""
    try:
        said = unpackb(_decompressed(packed or b""))
        return {number: (body, writes) for number, body, writes in said}
    except (TypeError, ValueError, zlib.error):
        return {}


def _packed_parts(parts: Sequence[Part]) -> bytes | None:
    if all(body is None for _, body in parts):
        return None
    long = [body for _, body in parts if body is not None and len(body) >= _LONG]
    said = [
        (number, body if body is None or len(body) < _LONG else len(body)) for number, body in parts
    ]
    short = zlib.compress(packb(said), 1)
    return b"".join((len(short).to_bytes(_SIZE, "big"), short, *long))


def _parts(packed: bytes) -> list[Part]:
    """Return what there is in a pack; nothing where it makes no sense."""
    parts: list[Part] = []
    place = _SIZE + int.from_bytes(packed[:_SIZE], "big")
    try:
        for number, body in unpackb(_decompressed(packed[_SIZE:place])):
            if type(body) is int:
                body = packed[place : place + body]
                place += len(body)
            parts.append((number, body))
    except (TypeError, ValueError, zlib.error):
        return []
    return parts


class Bodies:
    """Bytes of rows of checkpoints, wherever they are; for one request."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._packs: dict[int, dict[int, Entry]] = {}

    def body(self, key: int, body: bytes | None) -> bytes | None:
        """Return the body of a row; none where it should be in a pack, and is not."""
        return self._entry(key)[0] or body if body == IN_PACK else body

    def writes(self, key: int, writes: bytes | None) -> bytes | None:
        """Return what tasks wrote."""
        return self._entry(key)[1] or writes if writes == IN_PACK else writes

    def _entry(self, key: int) -> Entry:
        window = window_of(key)
        entries = self._packs.get(window)
        if entries is None:
            query = "SELECT rows FROM journal_packs WHERE key = ?"
            found = self._execute(query, (window,)).fetchone()
            entries = self._packs[window] = _entries(None if found is None else found[0])
        return entries.get(key - window, (None, None))

    def take_out(self, key: int) -> None:
        """Let the row of a checkpoint have what tasks wrote itself."""
        query = "SELECT writes FROM journal_checkpoints WHERE key = ? AND writes = x''"
        if self._execute(query, (key,)).fetchone() is not None:
            query = "UPDATE journal_checkpoints SET writes = ? WHERE key = ?"
            self._execute(query, (self.writes(key, IN_PACK), key))


def tidy(execute: Execute, line: int, numbers: Iterable[int]) -> None:
    """Remove from packs what no row has any more, of these numbers and those that follow."""
    base = line << BITS
    windows = {window_of(base | number) for number in numbers}
    for window in sorted(windows | {window + (1 << WINDOW) for window in windows}):
        found = execute("SELECT rows FROM journal_packs WHERE key = ?", (window,)).fetchone()
        if found is None or found[0] is None:
            continue
        entries = _entries(found[0])
        kept: dict[int, Entry] = {}
        rows = execute(
            "SELECT key, body, writes FROM journal_checkpoints WHERE key >= ? AND key < ? "
            "AND (body = x'' OR writes = x'')",
            (window, window + (1 << WINDOW)),
        )
        for key, *own in rows:
            entry = entries.get(key - window, (None, None))
            kept[key - window] = tuple(  # type: ignore[assignment]
                each if there == IN_PACK else None for each, there in zip(entry, own, strict=True)
            )
        if kept != entries:
            query = "UPDATE journal_packs SET rows = ? WHERE key = ?"
            execute(query, (_packed_entries(kept), window))
            _drop_empty(execute, window, window)


def _drop_empty(execute: Execute, first: int, last: int) -> None:
    query = "DELETE FROM journal_packs WHERE key BETWEEN ? AND ? AND rows IS NULL AND parts IS NULL"
    execute(query, (first, last))


def copy_packs(execute: Execute, source: int, target: int) -> None:
    """Give a copy of a line the packs of its checkpoints; parts stay where they are."""
    execute(
        "INSERT INTO journal_packs SELECT key + ?, rows, NULL FROM journal_packs "
        "WHERE key BETWEEN ? AND ? AND rows IS NOT NULL",
        ((target - source) << BITS, source << BITS, source << BITS | MASK),
    )


def drop_packs(execute: Execute, line: int) -> None:
    """Remove from the packs of a line all but parts."""
    between = (line << BITS, line << BITS | MASK)
    execute("UPDATE journal_packs SET rows = NULL WHERE key BETWEEN ? AND ?", between)
    _drop_empty(execute, *between)


def read_packed(
    execute: Execute, ranges: Iterable[tuple[int, int, int]]
) -> tuple[dict[int, bytes], set[int]]:
    """Return parts by key, of these ranges, and the keys of packs that have all of their window."""
    wanted = sorted((line << BITS | first, line << BITS | last) for line, first, last in ranges)
    spans: list[tuple[int, int]] = []
    for first, last in wanted:
        window = window_of(first)
        if spans and window <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((window, last))
    parts: dict[int, bytes] = {}
    packs: set[int] = set()
    begun = 0
    """Of the ranges before that, all end before what comes."""
    for span in spans:
        query = "SELECT key, parts FROM journal_packs WHERE key BETWEEN ? AND ? ORDER BY key"
        for window, packed in execute(query, span).fetchall():
            if packed is not None:
                packs.add(window)
            while wanted[begun][1] < window:
                begun += 1
            near = begun
            while near < len(wanted) and wanted[near][0] < window + (1 << WINDOW):
                near += 1
            here = wanted[begun:near]
            last_key = window + (1 << WINDOW) - 1
            is_whole = any(first <= window and last >= last_key for first, last in here)
            for number, body in _parts(packed or b""):
                key = window + number
                if body is None:
                    packs.discard(window)
                elif is_whole or any(first <= key <= last for first, last in here):
                    parts[key] = body
    return parts, packs


def drop_packed(execute: Execute, line: int, kept: Sequence[tuple[int, int]]) -> int:
    """Remove parts of a line from packs, but for these ranges of numbers; return how many."""
    removed = 0
    base = line << BITS
    for window, parts, gone in _not_kept(execute, line, kept):
        numbers = {number for number, _ in gone}
        left = [each for each in parts if each[0] not in numbers]
        query = "UPDATE journal_packs SET parts = ? WHERE key = ?"
        execute(query, (_packed_parts(left), window))
        removed += len(gone)
    _drop_empty(execute, base, base | MASK)
    return removed


def count_packed(execute: Execute, line: int, kept: Sequence[tuple[int, int]]) -> int:
    """Return how many parts of a line are in packs, but for these ranges of numbers."""
    return sum(len(gone) for _, _, gone in _not_kept(execute, line, kept))


def _not_kept(
    execute: Execute, line: int, kept: Sequence[tuple[int, int]]
) -> list[tuple[int, list[Part], list[Part]]]:
    """Return packs that have parts in none of these ranges: key, all parts, and those."""
    base = line << BITS
    query = "SELECT key FROM journal_packs WHERE key BETWEEN ? AND ? AND parts IS NOT NULL"
    found = []
    for (window,) in execute(query, (base, base | MASK)).fetchall():
        first, last = window - base, window - base + (1 << WINDOW) - 1
        near = [(low, high) for low, high in kept if low <= last and high >= first]
        query = "SELECT parts FROM journal_packs WHERE key = ?"
        parts = _parts(execute(query, (window,)).fetchone()[0])
        gone = [
            each
            for each in parts
            if each[1] is not None and not any(low <= first + each[0] <= high for low, high in near)
        ]
        if gone:
            found.append((window, parts, gone))
    return found
