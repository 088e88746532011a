"""`millstream threads`: look after the threads that a journal keeps.

`opening` finds the journal, `looking` reads it, `changing` copies and prunes, `showing` prints.
"""

from __future__ import annotations

import typer

from millstream.cli.threads.changing import copy, prune
from millstream.cli.threads.looking import history, list_threads, show

__all__ = ("threads",)

threads = typer.Typer(
    help="Look after the threads in a journal: a SQLite file, or a PostgreSQL database.",
    no_args_is_help=True,
)
threads.command("list")(list_threads)
threads.command()(show)
threads.command()(history)
threads.command()(copy)
threads.command()(prune)
