"""`millstream threads import` and `export`: from and to the tables of LangGraph's savers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from millstream.cli.failures import DONE, FAILED
from millstream.cli.output import complain
from millstream.cli.threads.changing import Threads
from millstream.cli.threads.opening import (
    SCHEMA,
    AsJson,
    Database,
    Encrypted,
    Schema,
    opened,
)
from millstream.cli.threads.showing import progress, say

if TYPE_CHECKING:
    from millstream.journal.exchange import Report


def import_(
    database: Database,
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="Tables of LangGraph: a file, or postgresql://..."),
    ],
    thread: Threads = None,
    *,
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Take threads over into DATABASE from the tables of SqliteSaver or PostgresSaver.

    SOURCE is only read. What DATABASE has already is left as it is: an import that was interrupted
    may be done again.
    """
    from millstream.journal.exchange import import_threads

    with opened(database, schema, encrypted=encrypted, may_be_new=True) as journal:
        return _exchange(
            "importing",
            lambda told: import_threads(journal, source, thread or None, told=told),
            as_json=json,
        )


def export(
    database: Database,
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="Tables of LangGraph: a file, or postgresql://..."),
    ],
    thread: Threads = None,
    *,
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Write threads of DATABASE into the tables of SqliteSaver or PostgresSaver, made if missing.

    What TARGET has already is left as it is: an export that was interrupted may be done again.
    """
    from millstream.journal.exchange import export_threads

    with opened(database, schema, encrypted=encrypted) as journal:
        return _exchange(
            "exporting",
            lambda told: export_threads(journal, target, thread or None, told=told),
            as_json=json,
        )


def _exchange(
    what: str, move: Callable[[Callable[[int, int], object]], Report], *, as_json: bool
) -> int:
    """Move threads under a bar, and say how many, and which were left out."""
    from dataclasses import asdict

    from millstream.journal.exchange import LeftOutError

    reasons: list[str] = []
    with progress() as bars:
        bar = bars.add_task(what, total=None)
        try:
            report = move(lambda done, total: bars.update(bar, completed=done, total=total))
        except LeftOutError as error:
            report, reasons = error.report, list(error.reasons.values())
    say(asdict(report), as_json=as_json)
    for reason in reasons:
        complain(f"left out: {reason}")
    return FAILED if reasons else DONE
