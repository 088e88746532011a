"""`millstream threads copy` and `prune`: what changes a journal."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import typer

from millstream.cli.failures import DONE, UsageError
from millstream.cli.threads.looking import check_threads
from millstream.cli.threads.opening import (
    SCHEMA,
    AsJson,
    Database,
    Encrypted,
    Schema,
    Thread,
    opened,
)
from millstream.cli.threads.showing import progress, say

_MOST_DAYS: Final = 100_000

Threads = Annotated[
    list[str] | None, typer.Argument(metavar="[THREAD]...", help="Ids; all if none is given.")
]


def copy(
    database: Database,
    thread: Thread,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The id of the copy.")],
    *,
    schema: Schema = SCHEMA,
    json: AsJson = False,
) -> int:
    """Copy THREAD to TARGET, which must not exist; both share what they have in common."""
    with opened(database, schema) as journal:
        check_threads(journal, [thread])
        journal.copy_thread(thread, target)
    say({"copied": thread, "to": target}, as_json=json)
    return DONE


def prune(
    database: Database,
    thread: Threads = None,
    *,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="Keep what is younger, in days.")
    ] = None,
    schema: Schema = SCHEMA,
    encrypted: Encrypted = False,
    json: AsJson = False,
) -> int:
    """Keep of threads only the newest checkpoint of each namespace, and free the space.

    Each thread by itself: interrupted, it has pruned some and left the others as they were.
    """
    from millstream.journal.catalog import thread_ids

    age = None if older_than is None else _age(older_than)
    with opened(database, schema, encrypted=encrypted) as journal:
        if thread:
            check_threads(journal, thread)
        pruned = thread or list(thread_ids(journal))
        with progress() as bars:
            for each in bars.track(pruned, description="pruning"):
                journal.prune([each], older_than=age)
    say({"pruned": len(pruned)}, as_json=json)
    return DONE


def _age(days: float) -> timedelta:
    # A calendar has no more, and no number compares with NaN.
    if not 0 <= days <= _MOST_DAYS:
        raise UsageError(f"--older-than takes up to {_MOST_DAYS} days, not {days}")
    return timedelta(days=days)
