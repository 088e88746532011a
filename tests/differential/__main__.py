"""Compare programs by name from a terminal: `python -m differential [name-prefix]...`."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from differential import programs
from differential.harness import compare, explain
from differential.registry import PROGRAMS

SECONDS_PER_PROGRAM = 20


class ProgramHangs(BaseException):
    """A program took longer than any program should."""


def _stop(signum: int, frame: FrameType | None) -> None:
    raise ProgramHangs


def main() -> int:
    """Print one line per program, and the differences of those that differ."""
    programs.load()
    signal.signal(signal.SIGALRM, _stop)
    failed = 0
    for name, program in PROGRAMS.items():
        if sys.argv[1:] and not name.startswith(tuple(sys.argv[1:])):
            continue
        started = time.perf_counter()
        signal.alarm(SECONDS_PER_PROGRAM)
        try:
            mismatches = compare(program)
        except ProgramHangs:
            sys.stdout.write(f"HANG          {name}\n")
            failed += 1
            continue
        finally:
            signal.alarm(0)
        seconds = time.perf_counter() - started
        failed += bool(mismatches)
        sys.stdout.write(f"{'DIFF' if mismatches else 'same'} {seconds:6.2f}s {name}\n")
        if mismatches:
            sys.stdout.write(explain(program, mismatches, limit=2) + "\n\n")
    sys.stdout.write(f"{failed} programs differ\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
