"""What a journal's storage holds, and what is asked of it.

A *line* is one namespace of one thread. All that belongs to it is numbered by one counter, which
rises with everything that is written: so who wants to write says up to where it knows the line,
and is refused when somebody else has written since. Nothing but that is decided in a storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias


class LineRow(NamedTuple):
    """One namespace of one thread."""

    number: int
    thread_id: str
    ns: str
    counter: int
    """The highest number of anything in the line."""


class CheckpointRow(NamedTuple):
    """One checkpoint; its key is the line and the number."""

    line: int
    number: int
    id: str | None
    """Unique in its line. None for one that was stored again later: others may be based on it."""
    root: int
    """The number of the row that all rows up to this one are differences to, itself if whole."""
    home: int
    """The line that parts are of where the body does not say it: another one after copying."""
    body: bytes | None
    """None where only writes are known of a checkpoint."""


class WritesRow(NamedTuple):
    """What tasks wrote; its key is the line, `of` and the number."""

    line: int
    of: int
    """The number of the checkpoint."""
    number: int
    home: int
    body: bytes


class PartRow(NamedTuple):
    """A piece of values; its key is the line that made it and the number."""

    line: int
    number: int
    body: bytes


class Owner(NamedTuple):
    """Who writes, and may as long as there is a row that says so: others take runs over."""

    query: str
    """What finds the row, and keeps it as it is until what was written is committed."""
    values: tuple[str, ...]


@dataclass(slots=True)
class Batch:
    """What is written to one line, all of it or nothing."""

    line: LineRow
    """As the writer knows it: `counter` is what it must still be."""
    is_new: bool
    """The line must not be there yet."""
    counter: int
    """What it is afterwards."""
    at: int | None
    """Seconds since 1970, for what throws old threads away; None leaves what the line has."""
    newest: str | None = None
    """The greatest id of checkpoints that the line has had before, None if that is not known."""
    last: int = 0
    """The number of its last row with a checkpoint, if all rows after that are known; else 0."""
    owner: Owner | None = None
    """Who has to be the owner still; None for everybody."""
    checkpoints: list[CheckpointRow] = field(default_factory=list)
    writes: list[WritesRow] = field(default_factory=list)
    parts: list[PartRow] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    """Names and values of metadata that the line has now; it may have them already."""
    unnamed: list[int] = field(default_factory=list)
    """Numbers of checkpoints that lose their id, before the new ones are stored."""
    filled: list[CheckpointRow] = field(default_factory=list)
    """Checkpoints that were there and get another root, home and body."""
    dropped: list[int] = field(default_factory=list)
    """Numbers of checkpoints that go, and their writes."""


@dataclass(slots=True, frozen=True)
class Reserve:
    """Ask for numbers of lines that nobody else gets; answered by the first of them."""

    count: int


@dataclass(slots=True, frozen=True)
class FindLines:
    """Ask for lines; answered by a list of `LineRow`, by number.

    All of a thread if `ns` is None, of all threads if `thread_id` is. With `labels`, only those
    that have all of them; with `untouched`, only those that nobody wrote to since that second;
    with `limit`, the first so many of those whose numbers are greater than `after`.
    """

    thread_id: str | None
    ns: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    untouched: int | None = None
    after: int = 0
    limit: int | None = None


@dataclass(slots=True, frozen=True)
class FindCheckpoint:
    """Ask for a checkpoint with a body: the one of that id, or that with the greatest id.

    Answered by `Found`, or None where there is no such line.
    """

    thread_id: str
    ns: str
    id: str | None = None


@dataclass(slots=True)
class Found:
    """A line, and the checkpoint that was asked for: all of it but parts."""

    line: LineRow
    newest: str | None
    """The greatest id of the line's checkpoints that have a body."""
    last: int
    """The greatest number of those that have a body, with or without an id; 0 if there is none."""
    rows: list[CheckpointRow] = field(default_factory=list)
    """From the root on, the last is the checkpoint itself; empty if there is none."""
    writes: list[WritesRow] = field(default_factory=list)
    """Next to the checkpoint, by number."""


@dataclass(slots=True, frozen=True)
class FindNumber:
    """Ask for the checkpoint of an id in a line, with or without a body; its row or None."""

    line: int
    id: str


@dataclass(slots=True, frozen=True)
class FindStubs:
    """Ask which checkpoints of a line have an id and no body; their numbers by id."""

    line: int


@dataclass(slots=True, frozen=True)
class FindNewest:
    """Ask for the greatest ids of checkpoints of these lines that have a body.

    Answered by line; lines that have none are missing. All ids are less than `before`.
    """

    lines: Sequence[int]
    before: str | None


@dataclass(slots=True, frozen=True)
class PageRows:
    """Ask for at most `limit` checkpoints of a line that have a body, the greatest ids first.

    Answered by a list of `CheckpointRow`; all have an id less than `before`.
    """

    line: int
    before: str | None
    limit: int


@dataclass(slots=True, frozen=True)
class ReadRows:
    """Ask for the checkpoints of a line with these numbers, both included; by number."""

    line: int
    first: int
    last: int


@dataclass(slots=True, frozen=True)
class ReadWrites:
    """Ask for what tasks wrote next to these checkpoints of a line, None: all; by number."""

    line: int
    of: Sequence[int] | None


@dataclass(slots=True, frozen=True)
class ReadParts:
    """Ask for parts: line, first and last number of each row of them.

    Answered by a dict of bodies, by what manifests call a part (`manifests.part_key`).
    """

    ranges: Sequence[tuple[int, int, int]]


@dataclass(slots=True, frozen=True)
class MeasureParts:
    """Ask for the bytes that parts take, as `ReadParts` asks for them; a dict by key."""

    ranges: Sequence[tuple[int, int, int]]


@dataclass(slots=True)
class Commit:
    """Ask for all batches to be written in one transaction.

    Answered by one bool for each: False if its line is not as the writer knows it, or the writer is
    not its owner any more, and then nothing of the batch is written. When the request raises,
    nothing of any batch is.
    """

    batches: Sequence[Batch]


class Append(NamedTuple):
    """Ask for a checkpoint on top of the newest one of a line; answered as a `Commit` of it is.

    Nearly every superstep is one: no other rows, and nothing that was there changes.
    """

    line: LineRow
    """As the writer knows it."""
    at: int
    newest: str
    """The id of the checkpoint that it is on top of, which is less than its own."""
    last: int
    """Its number."""
    number: int
    """What the counter of the line is afterwards."""
    id: str
    root: int
    body: bytes
    writes: bytes | None
    """What tasks wrote next to the one before."""
    owner: Owner | None

    def as_commit(self) -> Commit:
        """Return what says the same."""
        line = self.line.number
        newest, last = self.newest, self.last
        batch = Batch(self.line, False, self.number, self.at, newest, last, self.owner)
        row = CheckpointRow(line, self.number, self.id, self.root, line, self.body)
        batch.checkpoints.append(row)
        if self.writes is not None:
            row_before = WritesRow(line, self.last, self.number - 1, line, self.writes)
            batch.writes.append(row_before)
        return Commit([batch])


@dataclass(slots=True, frozen=True)
class FindOwner:
    """Ask whether somebody is the owner still; asked only of storages that were given owners."""

    owner: Owner


@dataclass(slots=True, frozen=True)
class CopyLines:
    """Ask for copies of lines' checkpoints, writes and labels as the lines of a new thread.

    Numbers stay, `home` too, so that both have the same parts; each line whose parts a copy names
    is noted as shared by it. A copy has the counter that its line has then. Answered by False if
    there is a line of that thread already, or one of those to be copied is gone: then nothing is.
    """

    pairs: Sequence[tuple[int, LineRow]]
    """Numbers of lines, each with what its copy is; all copies are of one thread."""
    at: int


@dataclass(slots=True, frozen=True)
class RenameLines:
    """Ask for lines of one thread to be those of another one, all of them or none.

    Answered by False if there is a line of that thread already.
    """

    lines: Sequence[int]
    thread_id: str


@dataclass(slots=True, frozen=True)
class DropLines:
    """Ask for lines to be removed, with all but their parts."""

    lines: Sequence[int]


@dataclass(slots=True, frozen=True)
class FindPools:
    """Ask for the lines whose parts a line may name: itself, and those it was copied from."""

    line: int


@dataclass(slots=True, frozen=True)
class FindSharers:
    """Ask which lines may name parts of a line; numbers, without the line itself if it is gone."""

    line: int


@dataclass(slots=True, frozen=True)
class DropParts:
    """Ask for parts of a line to be removed, but for these ranges of numbers, both included.

    Answered by how many were.
    """

    line: int
    kept: Sequence[tuple[int, int]]


@dataclass(slots=True, frozen=True)
class CountParts:
    """Ask how many parts of a line there are beside these ranges of numbers, both included."""

    line: int
    kept: Sequence[tuple[int, int]]


@dataclass(slots=True, frozen=True)
class FindStrays:
    """Ask for what belongs to nothing; answered by `Strays`."""


@dataclass(slots=True, frozen=True)
class Strays:
    """Rows that nobody can reach; by line."""

    rows: Sequence[int]
    """Lines that are not there, and have more than parts."""
    parts: Sequence[int]
    """Lines that are neither there nor shared by others, and have parts."""


@dataclass(slots=True, frozen=True)
class CheckTables:
    """Ask whether the database finds its own tables and indexes in order.

    Answered by a list of what it finds wrong, empty also where it cannot tell.
    """


@dataclass(slots=True, frozen=True)
class RebuildIndexes:
    """Ask for all indexes to be made anew."""


Request: TypeAlias = (
    Reserve
    | FindLines
    | FindCheckpoint
    | FindNumber
    | FindStubs
    | FindNewest
    | PageRows
    | ReadRows
    | ReadWrites
    | ReadParts
    | MeasureParts
    | Commit
    | Append
    | FindOwner
    | CopyLines
    | RenameLines
    | DropLines
    | FindPools
    | FindSharers
    | DropParts
    | CountParts
    | FindStrays
    | CheckTables
    | RebuildIndexes
)
