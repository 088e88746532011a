"""`millstream threads`: look after the threads that a journal keeps.

`opening` finds the journal, `looking` reads it, `comparing` and `checking` too, `changing` copies
and prunes, `exchanging` imports and exports, `showing` prints. What they do is in
`millstream.journal`.
"""

from __future__ import annotations

import typer

from millstream.cli.threads.changing import copy, prune
from millstream.cli.threads.checking import check
from millstream.cli.threads.comparing import diff
from millstream.cli.threads.exchanging import export, import_
from millstream.cli.threads.looking import history, list_threads, show

__all__ = ("threads",)

threads = typer.Typer(
    help="Look after the threads in a journal: a SQLite file, or a PostgreSQL database.",
    no_args_is_help=True,
)
threads.command("list")(list_threads)
threads.command()(show)
threads.command()(history)
threads.command()(diff)
threads.command()(copy)
threads.command()(prune)
threads.command()(check)
threads.command("import")(import_)
threads.command()(export)
