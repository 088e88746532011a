"""The `millstream` command: run and draw graphs from a terminal.

`target` finds the graph, `run` and `draw` are the commands, `render` shows what a run emits,
`speech` what is said in it.
Nothing else in millstream imports this package, and it imports the engine only inside commands,
so that `millstream --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any

import typer

from millstream.cli.draw import draw
from millstream.cli.failures import INTERRUPTED, USAGE, UsageError
from millstream.cli.run import run

__all__ = ["main"]

app = typer.Typer(
    help="Run and draw millstream graphs.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(draw)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: the graph failed, its traceback is on stderr; 2: bad usage, one line on stderr
    says what is wrong; 130: interrupted; 141: the reader of stdout went away.
    """
    if arguments is not None:
        return _dispatch(list(arguments))
    for stream in (sys.stdout, sys.stderr):
        # What a graph emits may hold text that the terminal's encoding cannot show.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    # A shell has its background jobs ignore Ctrl-C, and that is left alone.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_then_leave)
    code = _dispatch(sys.argv[1:])
    if code == INTERRUPTED:
        _leave()
    return code


def _dispatch(arguments: list[str]) -> int:
    try:
        result: Any = app(arguments, prog_name="millstream", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        # typer keeps the base class of its usage errors private; they all format themselves.
        describe = getattr(error, "format_message", None)
        if describe is None and not isinstance(error, UsageError):
            raise
        message = str(error)
        if describe is not None:
            command = getattr(getattr(error, "ctx", None), "command_path", "millstream")
            message = f"{describe()} (see {command} --help)"
        sys.stderr.write(f"millstream: {' '.join(message.split())}\n")
        return USAGE
    return result if isinstance(result, int) else 0


def _interrupt_then_leave(number: int, frame: FrameType | None) -> None:
    # The second Ctrl-C does not wait for nodes that are still running in threads.
    signal.signal(signal.SIGINT, lambda *_: _leave())
    raise KeyboardInterrupt


def _leave() -> None:
    # A plain exit would join the threads of sync nodes, which may run for long.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(INTERRUPTED)
