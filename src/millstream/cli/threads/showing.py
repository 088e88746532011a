"""What the commands print: a table for people, JSON lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO, cast

from millstream.cli.output import Output, to_json, visible


def print_rows(rows: Iterable[Mapping[str, Any]], names: Sequence[str], *, as_json: bool) -> None:
    """Print rows that have these names, each as a line."""
    out = Output(sys.stdout)
    if as_json:
        for row in rows:
            print_json(row)
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(
        *(Column(name.replace("_", " "), overflow="fold") for name in names),
        box=None,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(Text(visible(_cell(row[name]))) for name in names))
    Console(file=cast("TextIO", out), highlight=False).print(table)


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
        out.write(visible(f"{name}: {text}\n"))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return " ".join(str(value).split())
