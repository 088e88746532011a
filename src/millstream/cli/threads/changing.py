"""`millstream threads copy` and `prune`: what changes a journal."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from millstream.cli.failures import DONE, UsageError
from millstream.cli.threads.looking import thread_ids
from millstream.cli.threads.opening import AsJson, Database, Thread, opened
from millstream.cli.threads.showing import print_fields, print_json


def copy(
    database: Database,
    thread: Thread,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The id of the copy.")],
    *,
    json: AsJson = False,
) -> int:
    """Copy THREAD to TARGET, which must not exist; both share what they have in common."""
    with opened(database) as journal:
        if thread not in thread_ids(journal):
            raise UsageError(f"there is no thread {thread!r}")
        journal.copy_thread(thread, target)
    _say({"copied": thread, "to": target}, as_json=json)
    return DONE


def prune(
    database: Database,
    thread: Annotated[
        list[str] | None, typer.Argument(metavar="[THREAD]...", help="Ids; all if none is given.")
    ] = None,
    *,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="Keep what is younger, in days.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Keep of threads only the newest checkpoint of each namespace, and free the space."""
    age = None if older_than is None else timedelta(days=older_than)
    with opened(database) as journal:
        known = thread_ids(journal)
        missing = set(thread or ()) - set(known)
        if missing:
            raise UsageError(f"there is no thread {min(missing)!r}")
        pruned = thread or known
        console = Console(stderr=True)
        for each in track(
            pruned, "pruning", console=console, disable=not console.is_terminal, transient=True
        ):
            journal.prune([each], older_than=age)
    _say({"pruned": len(pruned)}, as_json=json)
    return DONE


def _say(fields: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)
