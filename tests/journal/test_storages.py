"""Every storage answers what the one in memory does, whatever is written in whatever order."""

from __future__ import annotations

import pathlib
import random
from typing import Any, Final

import pytest

from millstream.journal import sqlite_packs
from millstream.journal.memory import MemoryStorage
from millstream.journal.rows import (
    Batch,
    CheckpointRow,
    Commit,
    CopyLines,
    CountParts,
    DropLines,
    DropParts,
    FindCheckpoint,
    FindLines,
    FindNumber,
    FindStrays,
    FindStubs,
    LineRow,
    PageRows,
    PartRow,
    ReadParts,
    ReadRows,
    ReadWrites,
    WritesRow,
)
from millstream.journal.sqlite import SqliteStorage

LINE = 7
LAST = (1 << 30) - 1


class Writer:
    """Makes batches of a line, as a journal might."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.row = LineRow(LINE, "thread", "", 0)
        self.is_new = True
        self.rows: dict[int, CheckpointRow] = {}
        self.ids = 0
        self.parts: set[int] = set()

    def batch(self) -> Batch:
        """Return the next one."""
        stubs = [row for row in self.rows.values() if row.body is None and row.id]
        batch = Batch(self.row, self.is_new, self.row.counter, 0, newest=self.newest())
        if not stubs:
            batch.last = max((n for n, row in self.rows.items() if row.body), default=0)
        for _ in range(self.random.randint(1, 3)):
            self._add(batch)
        if not self.random.randrange(4) and len(self.rows) > 4:
            self._change(batch, stubs)
        for _ in range(self.random.choice((0, 0, 1, 3))):
            number = self._number(batch)
            size = self.random.choice((1, 40, 511, 512, 2000, 4096, 9000))
            batch.parts.append(PartRow(LINE, number, self.random.randbytes(size)))
        self.parts |= {part.number for part in batch.parts}
        self.is_new, self.row = False, self.row._replace(counter=batch.counter)
        self.rows |= {row.number: row for row in (*batch.checkpoints, *batch.filled)}
        for number in batch.unnamed:
            self.rows[number] = self.rows[number]._replace(id=None)
        for number in batch.dropped:
            del self.rows[number]
        return batch

    def kept(self) -> list[tuple[int, int]]:
        """Return ranges of numbers of parts."""
        numbers = sorted(self.random.sample(range(self.row.counter + 20), 6))
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def newest(self) -> str | None:
        """Return the greatest id of those that have a body."""
        return max((row.id for row in self.rows.values() if row.id and row.body), default=None)

    def _number(self, batch: Batch) -> int:
        batch.counter += self.random.choice((1, 1, 1, 3))
        return batch.counter

    def _id(self) -> str:
        """Return one that nobody has, greater than all as a rule."""
        self.ids += 1
        return f"{self.ids if self.random.randrange(5) else 0:05}-{self.ids:05}"

    def _add(self, batch: Batch) -> None:
        numbers = [*self.rows, *(row.number for row in batch.checkpoints)]
        if numbers and self.random.randrange(4):
            of = numbers[-1] if self.random.randrange(4) else self.random.choice(numbers)
            home = self.random.choice((LINE, LINE, LINE, 3))
            number = self._number(batch)
            batch.writes.append(WritesRow(LINE, of, number, home, b"w%d" % number))
        if self.random.randrange(5):
            number = self._number(batch)
            body = b"c%d" % number if self.random.randrange(8) else None
            batch.checkpoints.append(CheckpointRow(LINE, number, self._id(), number, LINE, body))

    def _change(self, batch: Batch, stubs: list[CheckpointRow]) -> None:
        """Change rows that were there before the batch."""
        for row in stubs:
            batch.filled.append(row._replace(body=b"f%d" % row.number))
        others = [number for number in self.rows if number not in {row.number for row in stubs}]
        batch.dropped = self.random.sample(others, len(others) // 4)
        kept = [number for number in others if number not in batch.dropped]
        with_id = [number for number in kept if self.rows[number].id]
        if with_id:
            number = self.random.choice(with_id)
            batch.unnamed.append(number)
            batch.filled.append(self.rows[number]._replace(id=None, home=9, body=b"u"))
        batch.writes = [each for each in batch.writes if each.of not in batch.dropped]
        batch.counter += 1


def answers(storage: Any, writer: Writer, line: int, thread_id: str) -> list[Any]:
    """Return all that a storage knows of a line."""
    ask = storage.carry_out
    ids = [row.id for row in writer.rows.values() if row.id]
    numbers = list(writer.rows)
    # The number of writes only says in which order those of a checkpoint are.
    return [
        ask(FindLines(thread_id)),
        [ask(FindNumber(line, id)) for id in (*ids, "x", "")],
        sorted(ask(FindStubs(line)).items()),
        ask(PageRows(line, None, 4)),
        [ask(PageRows(line, before, 3)) for before in ids],
        ask(ReadRows(line, 0, LAST)),
        [w._replace(number=0) for w in sorted(ask(ReadWrites(line, None)), key=lambda w: w.of)],
        [[w._replace(number=0) for w in ask(ReadWrites(line, [of]))] for of in numbers],
        [
            (found.line, found.newest, found.last, found.rows)
            for id in (None, *ids)
            if (found := ask(FindCheckpoint(thread_id, "", id)))
        ],
        ask(ReadParts([(LINE, 0, writer.row.counter + 9)])),
        ask(ReadParts([(LINE, each, each + 1) for each in writer.parts])),
        ask(CountParts(LINE, [(3, 20)])),
    ]


WINDOWS: Final = (1, 3, 8)
MORE: Final = [
    pytest.param(seed, WINDOWS[seed % 3], marks=pytest.mark.long) for seed in range(3, 12)
]


@pytest.mark.parametrize(("seed", "window"), [*enumerate(WINDOWS), *MORE])
def test_a_file_answers_what_memory_does(
    tmp_path: pathlib.Path, seed: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a copy, however much of it is packed, and when parts or the line are removed."""
    monkeypatch.setattr(sqlite_packs, "WINDOW", window)
    memory, file = MemoryStorage(), SqliteStorage(tmp_path / "threads.db")
    writer = Writer(seed)
    for _ in range(25):
        before = writer.row
        batch = writer.batch()
        assert memory.carry_out(Commit([batch])) == file.carry_out(Commit([batch])) == [True]
        expected = answers(memory, writer, LINE, "thread")
        assert answers(file, writer, LINE, "thread") == expected
        # Whoever knows less, or more, than there is writes nothing.
        for counter in (before.counter, batch.counter + 1):
            late = Batch(before._replace(counter=counter), False, counter + 1, 0)
            late.checkpoints.append(
                CheckpointRow(LINE, counter + 1, "late", counter + 1, LINE, b"late")
            )
            if counter < batch.counter:
                assert file.carry_out(Commit([late])) == [False]
        assert answers(file, writer, LINE, "thread") == expected
    copy = CopyLines([(LINE, LineRow(8, "copy", "", 0))], 0)
    assert memory.carry_out(copy) == file.carry_out(copy) is True
    assert answers(file, writer, 8, "copy") == answers(memory, writer, 8, "copy")
    for request in (DropParts(LINE, writer.kept()), DropLines([LINE]), DropParts(LINE, [(9, 40)])):
        assert memory.carry_out(request) == file.carry_out(request)
        for line, thread_id in ((LINE, "thread"), (8, "copy")):
            expected = answers(memory, writer, line, thread_id)
            assert answers(file, writer, line, thread_id) == expected
        assert memory.carry_out(FindStrays()) == file.carry_out(FindStrays())
    file.close()
