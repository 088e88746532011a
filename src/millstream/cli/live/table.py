"""The table at the end of a run: which node ran how often, how long, and with how many tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from rich.cells import cell_len

from millstream.cli.live.activity import Ran, Words
from millstream.cli.live.paper import Line, Paper, cut
from millstream.cli.live.picture import duration

_HEADINGS: Final = ("node", "count", "time", "tokens")
_LEAST_NAME: Final = 6


def table(rows: Iterable[Ran], paper: Paper) -> Iterator[Line]:
    """Yield the lines of the table; none for a run in which no node ran."""
    found = list(rows)
    if not found:
        return
    has_tokens = any(each.words.chunks or each.words.are_counted for each in found)
    headings = _HEADINGS if has_tokens else _HEADINGS[:-1]
    cells = [[*_cells(each, paper)][: len(headings)] for each in found]
    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    gap = 2 if paper.width >= sum(widths) + 2 * len(widths) else 1
    room = paper.width - sum(widths[1:]) - gap * (len(widths) - 1)
    widths[0] = max(min(widths[0], room), _LEAST_NAME)
    for style, row in chain((("bold", [*headings]),), (("", each) for each in cells)):
        name = cut(row[0], widths[0], paper.glyphs.cut)
        padded = [name + " " * (widths[0] - cell_len(name))]
        padded += [
            " " * (width - cell_len(cell)) + cell
            for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        yield (((" " * gap).join(padded), style),)


def total(words: Iterable[Words]) -> Words:
    """Return what all models have read and said."""
    found = list(words)
    return Words(
        read=sum(each.read for each in found),
        said=sum(each.said for each in found),
        chunks=sum(each.chunks for each in found),
    )


def tokens(words: Words) -> str:
    """Return numbers of tokens for people: those read and those said, or about how many came."""
    if words.are_counted:
        return f"{words.read:,} + {words.said:,}"
    return f"~{words.chunks:,}" if words.chunks else "-"


def _cells(ran: Ran, paper: Paper) -> Iterator[str]:
    yield "  " * (len(ran.path) - 1) + paper.flat(ran.path[-1])
    notes = [f"{ran.failed} failed"] if ran.failed else []
    if ran.retries:
        notes.append(f"{ran.retries} again")
    yield f"{ran.count:,}" + (f" ({', '.join(notes)})" if notes else "")
    yield duration(ran.seconds)
    yield tokens(ran.words)
