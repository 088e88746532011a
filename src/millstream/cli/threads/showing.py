"""What the commands print: a table for people, JSON lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from millstream._base.texts import visible
from millstream.cli.output import Output, to_json

if TYPE_CHECKING:
    from rich.progress import Progress

_MEASURED: Final = 256
"""Rows that the widths of columns are taken from: they are printed as soon as there are so many."""


def print_rows(rows: Iterable[Mapping[str, Any]], names: Sequence[str], *, as_json: bool) -> None:
    """Print rows that have these names, each as a line, which is as long as it has to be."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    from rich.cells import cell_len

    out = Output(sys.stdout)
    lines = ([visible(_cell(row[name])) for name in names] for row in rows)
    first = [[name.replace("_", " ") for name in names], *islice(lines, _MEASURED)]
    widths = [max(map(cell_len, column)) for column in zip(*first, strict=True)]
    for line in chain(first, lines):
        padded = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)
        )
        out.write("  ".join(padded).rstrip() + "\n")
    out.flush()


def print_json(value: Any) -> None:
    """Print anything as a line of JSON."""
    from millstream.modes.jsonable import to_jsonable

    out = Output(sys.stdout)
    out.write(to_json(to_jsonable(value), out.encoding) + "\n")
    out.flush()


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print what belongs to one thing, for people."""
    from rich.pretty import pretty_repr

    out = Output(sys.stdout)
    for name, value in fields.items():
        text = value if isinstance(value, str) else pretty_repr(value)
        out.write(visible(f"{name.replace('_', ' ')}: {text}\n"))


def say(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what was done."""
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show bars on stderr while something takes long, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as shown:
        yield shown


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return " ".join(str(value).split())
