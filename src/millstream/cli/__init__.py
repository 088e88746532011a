"""The `millstream` command: run and draw graphs from a terminal, and run programs of LangGraph.

`commands` lists the commands. `target` finds the graph; `run`, `draw`, and `saved` (what is kept of
a thread) are for graphs, `replay` is for recordings; `views` chooses how a run is shown, on a
terminal by `live`, elsewhere by `render`; `asking` has questions answered; `execute` and `hook` are
for programs, `threads` for what a journal keeps, `serving` and `database` for the server and what
it keeps.
Nothing else in millstream imports this package, and it imports the engine only inside commands,
so that `millstream --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from millstream.cli.failures import DONE, FAILED, INTERRUPTED, READER_GONE, USAGE, UsageError
from millstream.cli.interrupting import leave
from millstream.cli.output import Output, OutputError, ReaderGoneError, complain

__all__ = ["main"]

_ABOUT: Final = ("-h", "--help", "-V", "--version")
"""Options of `exec` that are not about a program."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: the graph failed, its traceback is on stderr, or stdout cannot be written; 2: bad
    usage, one line on stderr says what is wrong; 130: interrupted; 141: the reader of stdout went
    away.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["exec"] and len(given) > 1 and given[1] not in _ABOUT:
        return _execute(given[1:])
    if arguments is not None:
        return _dispatch(given)
    _hold_standard_files()
    if os.environ.get("COLUMNS", "").strip("0") == "":
        # No width, which is not a width of nothing.
        os.environ.pop("COLUMNS", None)
    for stream in (sys.stdout, sys.stderr):
        # What a graph emits may hold text that the terminal's encoding cannot show.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    if given and not given[0].startswith("-"):
        _choose_engine()
    # A shell has its background jobs ignore Ctrl-C, and that is left alone.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_then_leave)
    code = _dispatch(given)
    if code == INTERRUPTED:
        # A plain exit would join the threads of sync nodes, which may run for long.
        leave()
    return code


def _execute(arguments: list[str]) -> int:
    from millstream.cli.execute import execute

    try:
        return execute(arguments)
    except UsageError as error:
        complain(str(error))
        return USAGE


def _choose_engine() -> None:
    """Have graphs that import `langgraph` run on millstream, in worker processes too."""
    from millstream import install_as_langgraph
    from millstream.compat.hook import VARIABLE

    # Something has imported LangGraph's engine before us: `run` says which one a graph runs on.
    with suppress(RuntimeError):
        install_as_langgraph()
        os.environ[VARIABLE] = "1"


def _dispatch(arguments: list[str]) -> int:
    try:
        code = _call(arguments)
        if sys.stdout is not None:
            Output(sys.stdout).flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReaderGoneError:
        return READER_GONE
    except OutputError as error:
        complain(str(error))
        return FAILED
    except OSError as error:
        # The help and the version are written by typer itself; what has a name is another file.
        place = "stdout cannot be written" if error.filename is None else str(error.filename)
        complain(f"{place}: {error.strerror or error}")
        return FAILED
    except SystemExit as error:
        # What shows or installs the completion of a shell ends so.
        return error.code if isinstance(error.code, int) else DONE
    except UsageError as error:
        complain(str(error))
        return USAGE
    return code


def _call(arguments: list[str]) -> int:
    if arguments in (["-V"], ["--version"]):
        # There is nothing to be parsed, which takes most of the time of a command.
        from millstream.version import __version__

        Output(sys.stdout).write(f"millstream {__version__}\n")
        return DONE
    import typer

    from millstream.cli.commands import app

    try:
        result: Any = app(
            arguments, prog_name="millstream", standalone_mode=False, obj=list(arguments)
        )
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        # typer keeps the base class of its usage errors private; they all format themselves.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        # What is wrong with a choice comes from pydantic, which says that first.
        message = describe().replace(": Value error, ", ": ", 1)
        if message.startswith("Usage: "):
            # No command was given: the message is the help, which says which ones there are.
            Output(sys.stdout).write(f"{message}\n")
        else:
            command = getattr(getattr(error, "ctx", None), "command_path", "millstream")
            complain(f"{message} (see {command} --help)")
        return USAGE
    return result if isinstance(result, int) else DONE


def _hold_standard_files() -> None:
    # A file that a graph opens must not get the number of a closed stdin, stdout or stderr: what is
    # printed would go into it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _interrupt_then_leave(number: int, frame: FrameType | None) -> None:
    # The second Ctrl-C does not wait for nodes that are still running in threads.
    signal.signal(signal.SIGINT, lambda *_: leave())
    raise KeyboardInterrupt
