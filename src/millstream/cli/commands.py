"""The commands of `millstream` and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from millstream.cli.database import backup, migrate, restore
from millstream.cli.draw import draw
from millstream.cli.execute import execute
from millstream.cli.hook import hook
from millstream.cli.replay import replay
from millstream.cli.run import run
from millstream.cli.saved import history, state
from millstream.cli.serving import dev, serve
from millstream.cli.threads import threads

app = typer.Typer(
    help="Run and draw graphs, and run programs written for LangGraph.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(replay)
app.command()(state)
app.command()(history)
app.command()(draw)
app.command()(hook)
app.command()(dev)
app.command()(serve)
app.command()(migrate)
app.command()(backup)
app.command()(restore)
app.add_typer(threads, name="threads")


@app.command(
    name="exec",
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
)
def _exec(
    program: Annotated[
        list[str],
        typer.Argument(
            metavar="SCRIPT|-m MODULE [ARGS]...",
            help="As behind `python`: a file, a directory or a zip file, or a module; "
            "not code (-c, -).",
        ),
    ],
) -> int:
    """Run a program that was written for LangGraph, with millstream in its place."""
    return execute(program)


def _show_version(wanted: bool) -> None:
    if wanted:
        from millstream.version import __version__

        typer.echo(f"millstream {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass
