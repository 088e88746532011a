"""`millstream threads import` and `export`: from and to the tables of LangGraph's savers."""

from __future__ import annotations

from typing import Annotated

import typer

from millstream.cli.failures import DONE
from millstream.cli.threads.changing import Threads
from millstream.cli.threads.opening import (
    SCHEMA,
    AsJson,
    Database,
    Encrypted,
    Schema,
    opened,
    refusals,
)
from millstream.cli.threads.showing import progress, say


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
    from dataclasses import asdict

    from millstream.journal.exchange import import_threads

    with (
        opened(database, schema, encrypted=encrypted, may_be_new=True) as journal,
        progress() as bars,
    ):
        bar = bars.add_task("importing", total=None)
        report = import_threads(
            journal,
            source,
            thread or None,
            told=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    say(asdict(report), as_json=json)
    return DONE


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
    from dataclasses import asdict

    from millstream.journal.exchange import export_threads
    from millstream.saving.places import shown

    with opened(database, schema, encrypted=encrypted) as journal, progress() as bars:
        bar = bars.add_task("exporting", total=None)
        with refusals(shown(target)):
            report = export_threads(
                journal,
                target,
                thread or None,
                told=lambda done, total: bars.update(bar, completed=done, total=total),
            )
    say(asdict(report), as_json=json)
    return DONE
