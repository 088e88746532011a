"""`millstream threads check`: whether all is there."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from millstream.cli.failures import DONE, FAILED
from millstream.cli.threads.changing import Threads
from millstream.cli.threads.looking import check_threads
from millstream.cli.threads.opening import (
    SCHEMA,
    AsJson,
    Database,
    Encrypted,
    Schema,
    opened,
)
from millstream.cli.threads.showing import print_rows, progress, say

_FAULT: Final = ("thread_id", "checkpoint_ns", "checkpoint_id", "fault", "repaired")


def check(
    database: Database,
    thread: Threads = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend indexes, and remove what belongs to nobody.")
    ] = False,
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Print what is missing or damaged in a journal; exit code 1 if something is, and stays so."""
    from millstream.journal.catalog import lines_of
    from millstream.journal.checking import check as faults_of

    rows: list[dict[str, Any]] = []
    is_sound = True
    with opened(database, schema, encrypted=encrypted) as journal:
        if thread:
            check_threads(journal, thread)
        with progress() as bars:
            wanted: list[str | None] = [None] if not thread else [*thread]
            total = sum(len(list(lines_of(journal, each))) for each in wanted)
            bar = bars.add_task("checking", total=total)
            for fault in faults_of(
                journal, thread or None, repair=repair, told=lambda line: bars.advance(bar)
            ):
                is_sound = is_sound and fault.is_repaired
                rows.append(
                    {
                        "thread_id": fault.thread_id,
                        "checkpoint_ns": fault.ns,
                        "checkpoint_id": fault.checkpoint_id,
                        "fault": fault.text,
                        "repaired": fault.is_repaired,
                    }
                )
    if rows or json:
        print_rows(rows, _FAULT, as_json=json)
    if not rows and not json:
        say({"checked": f"{total} namespaces of threads, nothing is wrong"}, as_json=False)
    return DONE if is_sound else FAILED
