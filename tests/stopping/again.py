"""Leave runs in every way, again and again (`python -m stopping.again COUNT [NAME ...]`).

A program of its own, because a hang ends it with the stacks of all its threads.
"""

from __future__ import annotations

import faulthandler
import sys
import time

from stopping import programs

PATIENCE = 60.0


def forgive_dropped_signals(unraisable: sys.UnraisableHookArgs) -> None:
    """Report what Python could not raise, but for a Ctrl-C within the collector or a weak set."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def main(count: int, names: list[str]) -> None:
    """Take so many turns of each program."""
    sys.unraisablehook = forgive_dropped_signals
    for turn in programs.TURNS:
        if names and turn.__name__ not in names:
            continue
        begun = time.monotonic()
        for number in range(count):
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            turn()
            if left := programs.left():
                sys.exit(f"{turn.__name__}, turn {number}: threads {left} are left")
        faulthandler.cancel_dump_traceback_later()
        seconds = time.monotonic() - begun
        sys.stdout.write(f"{turn.__name__}: {count} turns in {seconds:.1f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
