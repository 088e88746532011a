"""The `millstream` command: run and draw graphs from a terminal, and run programs of LangGraph.

`commands` lists the commands. `target` finds the graph, `run` and `draw` are for graphs, `render`
shows what a run emits, `speech` what is said in it; `execute` and `hook` are for programs.
Nothing else in millstream imports this package, and it imports the engine only inside commands,
so that `millstream --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from millstream.cli.failures import INTERRUPTED, USAGE, UsageError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: the graph failed, its traceback is on stderr; 2: bad usage, one line on stderr
    says what is wrong; 130: interrupted; 141: the reader of stdout went away.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["exec"] and len(given) > 1 and given[1] not in ("-h", "--help"):
        return _execute(given[1:])
    if arguments is not None:
        return _dispatch(given)
    for stream in (sys.stdout, sys.stderr):
        # What a graph emits may hold text that the terminal's encoding cannot show.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    # A shell has its background jobs ignore Ctrl-C, and that is left alone.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_then_leave)
    code = _dispatch(given)
    if code == INTERRUPTED:
        _leave()
    return code


def _execute(arguments: list[str]) -> int:
    from millstream.cli.execute import execute

    try:
        return execute(arguments)
    except UsageError as error:
        return _complain(str(error))


def _dispatch(arguments: list[str]) -> int:
    import typer

    from millstream.cli.commands import app

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
        return _complain(message)
    return result if isinstance(result, int) else 0


def _complain(message: str) -> int:
    sys.stderr.write(f"millstream: {' '.join(message.split())}\n")
    return USAGE


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
