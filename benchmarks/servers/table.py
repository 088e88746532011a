"""The rows of the page: what each number is called, and what it has to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.servers.launching import MILLSTREAM, SERVERS
from benchmarks.servers.scenes import Numbers, Size


@dataclass(frozen=True)
class Row:
    """A number of a scene; `goal` is the most it may be, or the least where more is better."""

    name: str
    title: str
    unit: str
    goal: float | None = None
    is_rate: bool = False

    def is_reached(self, value: float) -> bool:
        """Say whether the goal is reached."""
        assert self.goal is not None
        return value >= self.goal if self.is_rate else value <= self.goal


def rows(size: Size) -> tuple[Row, ...]:
    """Return the rows, for so much of everything."""
    each = f"{size.clients} clients x 100 events"
    found = f"{size.threads:,} threads of {size.thread_bytes // 1000:,} kB"
    return (
        Row("start", "from the start of the process to its first answer", "s"),
        Row("first event", "first event of a run, one at a time", "ms", 5),
        Row("first event, p99", "the same, p99", "ms"),
        Row("run of one event", "the whole run", "ms"),
        Row(
            "events of one stream",
            f"{size.events:,} custom events in one stream",
            "events/s",
            60_000,
            True,
        ),
        Row("events of many", each, "events/s", 25_000, True),
        Row("many, p99", f"{each}: whole run, p99", "s", 1),
        Row(
            "paced",
            f"{size.clients} clients x 50 events, one each 50 ms (2.5 s at best)",
            "s",
            2.75,
        ),
        Row("bytes of a token", "a token of a model, without its text", "bytes"),
        Row("metadata of a token", "its metadata alone", "bytes", 300),
        Row("search", f"find one of {found} by metadata", "ms", 50),
        Row("list", f"a hundred of {found}", "ms"),
        Row("by status", f"ten of {found} by their status", "ms", 50),
        Row("storage", f"how much one of {found} takes", "ms", 50),
        Row("copy", f"copy one of {found}", "ms", 1000),
        Row("runs", "runs waited for, 16 at a time", "runs/s", None, True),
        Row("memory at start", "memory before the first request", "MB"),
        Row("memory after all", f"memory after {size.runs:,} runs", "MB"),
        Row("growth", "the same, to that after a tenth of them", "x", 1.1),
        Row(
            "memory for a slow reader",
            f"memory for {size.events:,} events of 10 kB that a client does not read",
            "MB",
            50,
        ),
        Row(
            "answer while a node blocks", "`/ok` while a node blocks its event loop, p99", "ms", 20
        ),
        Row("idle", "processor time while nobody is there", "ms/s"),
        Row("wake-ups", "threads that wake up meanwhile", "times/s", 0),
        Row("idle with listeners", f"processor time while {size.listeners} clients listen", "ms/s"),
        Row("wake-ups with listeners", "threads that wake up meanwhile", "times/s"),
    )


def head(measured: Mapping[str, Numbers]) -> Sequence[str]:
    """Return the names of the columns: a server that was not measured has none."""
    names = _names(measured)
    return ("measured", "in", *names, *(f"to {name}" for name in names[1:]), "goal", "reached")


def _names(measured: Mapping[str, Numbers]) -> Sequence[str]:
    return [s.name for s in SERVERS if s is MILLSTREAM or s.name in measured]


def cells(row: Row, measured: Mapping[str, Numbers]) -> Sequence[str] | None:
    """Return what the table says in a row, None where nobody was measured."""
    values = [measured.get(name, {}).get(row.name) for name in _names(measured)]
    if all(value is None for value in values):
        return None
    ours, *others = values
    ratios = [_ratio(ours, other) for other in others]
    goal = reached = ""
    if row.goal is not None:
        goal = f"{'≥' if row.is_rate else '≤'} {row.goal:,g}"
        if ours is not None:
            reached = "yes" if row.is_reached(ours) else "**no**"
    return (row.title, row.unit, *map(_shown, values), *ratios, goal, reached)


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(ours: float | None, other: float | None) -> str:
    if ours is None or not other:
        return ""
    ratio = ours / other
    return f"{ratio:.2f}x" if ratio >= 0.5 else f"1/{1 / ratio:.3g}" if ratio else "0"


def misses(size: Size, measured: Mapping[str, Numbers]) -> Iterator[str]:
    """Yield the goals that were missed."""
    for row in rows(size):
        value = measured.get(MILLSTREAM.name, {}).get(row.name)
        if value is not None and row.goal is not None and not row.is_reached(value):
            yield f"{row.title}: {_shown(value)} {row.unit}, goal {row.goal:,g}"
