"""`--watch`: a command again whenever a file has changed, each time in a process of its own.

A process that loads changed modules anew keeps what the old ones have left behind. What is watched
is looked at from time to time: no package is needed for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

from millstream._base.modules import is_path
from millstream.cli.failures import INTERRUPTED, working_directory
from millstream.cli.output import complain

Seen: TypeAlias = dict[str, tuple[int, int]]
"""Path -> when it was changed, and its size."""

_INTERVAL: Final = 0.3
_SHARE: Final = 0.05
"""Of the time, at most: looking at many files is done less often."""
_GRACE: Final = 3.0
"""Seconds that a run has to stop, when a file has changed meanwhile."""
_SHOWN: Final = 3
_PASSED_BY: Final = {"__pycache__", "node_modules", "site-packages"}


def watch(arguments: Sequence[str], target: str, files: Sequence[str]) -> int:
    """Carry out a command again and again until Ctrl-C, and return its exit code.

    What is watched: the Python files beside that of the target, and in folders there, and `files`.
    However this ends, the run that goes on is stopped.

    Raises:
        SystemExit: The process was to end, by SIGTERM.
    """
    folder = folder_of(target)
    with _terminable():
        while True:
            before = look(folder, files)
            process = subprocess.Popen([sys.executable, "-m", "millstream", *arguments])
            try:
                names = _wait_for_change(process, folder, files, before)
            except KeyboardInterrupt:
                if os.isatty(0):
                    # The terminal has told the process, too. Another Ctrl-C does not wait for it.
                    process.wait()
                return INTERRUPTED
            finally:
                _stop(process)
            complain(f"{names} changed; once more")


def folder_of(target: str) -> str:
    """Return the folder that a target's modules are in."""
    source = target if target.endswith(".py") else target.rpartition(":")[0] or target
    if not is_path(source):
        return working_directory()
    folder = Path(source).absolute().parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return str(folder)


def look(folder: str, files: Sequence[str]) -> Seen:
    """Return what the files are like now."""
    seen: Seen = {}
    for path in [*_python_files(folder), *files]:
        with suppress(OSError):
            found = os.stat(path)
            seen[path] = found.st_mtime_ns, found.st_size
    return seen


def changed(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return the names of files that have come, gone or changed."""
    paths = sorted({*before, *now})
    return [os.path.basename(path) for path in paths if before.get(path) != now.get(path)]


def _python_files(folder: str) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [
            each
            for each in folders
            if each not in _PASSED_BY
            and not each.startswith(".")
            and not os.path.exists(os.path.join(place, each, "pyvenv.cfg"))
        ]
        yield from (os.path.join(place, name) for name in names if name.endswith(".py"))


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM raise, where nobody else listens to it."""
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_change(
    process: subprocess.Popen[bytes], folder: str, files: Sequence[str], before: Seen
) -> str:
    is_told = False
    while True:
        started = time.monotonic()
        names = changed(before, look(folder, files))
        if names:
            return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        if not is_told and process.poll() is not None:
            is_told = True
            complain(f"waiting for files in {folder} to change; Ctrl-C ends")
        time.sleep(max(_INTERVAL, (time.monotonic() - started) / _SHARE))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a run as Ctrl-C does, as two of them if it takes long, and wait for its end."""
    for seconds in (_GRACE, 1.0):
        if process.poll() is None:
            with suppress(OSError):
                process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
    process.kill()
    process.wait()
    _give_terminal_back()


def _give_terminal_back() -> None:
    """Take away the line that a process has begun which was killed, and show the cursor again."""
    if sys.stdout is None or not sys.stdout.isatty():
        return
    from millstream.cli.live.screen import REST_OF_LINE, SHOW_CURSOR

    moves = os.environ.get("TERM", "dumb") != "dumb"
    with suppress(OSError, ValueError):
        sys.stdout.write(f"\r{REST_OF_LINE}{SHOW_CURSOR}" if moves else "\n")
        sys.stdout.flush()
