"""The commands of `millstream` and their options."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from millstream.cli.check import check
from millstream.cli.database import backup, migrate, restore
from millstream.cli.draw import draw
from millstream.cli.execute import execute
from millstream.cli.hook import hook
from millstream.cli.replay import replay
from millstream.cli.run import run
from millstream.cli.saved import history, state
from millstream.cli.serving import dev, serve
from millstream.cli.threads import threads


class _Commands(TyperGroup):
    """The commands, which all take the option that shows the version."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        version = copy.copy(next(each for each in self.params if each.name == "version"))
        # The functions of the commands do not take it.
        version.expose_value = False
        waiting = [*self.commands.values()]
        while waiting:
            command = waiting.pop()
            command.params.append(version)
            waiting += getattr(command, "commands", {}).values()


app = typer.Typer(
    cls=_Commands,
    help="Run and draw graphs, and run programs written for LangGraph.",
    # Commands inherit it.
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Drawing tables around the help takes longer than everything else that it takes.
    rich_markup_mode=None,
)
app.command()(run)
app.command()(replay)
app.command()(state)
app.command()(history)
app.command()(draw)
app.command()(check)
app.command()(hook)
app.command()(dev)
app.command()(serve)
app.command()(migrate)
app.command()(backup)
app.command()(restore)
app.add_typer(threads, name="threads")


@app.command(
    name="exec",
    context_settings={"allow_interspersed_args": False},
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
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    pass
