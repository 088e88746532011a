"""End the interpreter with streams that nobody has read to their end, again and again.

A program of its own (`python -m stopping.exits COUNT`), because it forks: what takes long, the
imports, is done once. Each fork opens a stream in one of the ways below and ends like any script,
by reaching the end of this file or by an error. It prints the ways in which a fork did not end.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from itertools import product

from stopping.programs import LIVE, THREAD, Saver, at_once, flow, in_a_row

PATIENCE = 60
WAYS = [
    (graph, is_saved, how, durability)
    for graph, is_saved, how, durability in product(
        (in_a_row, at_once, flow),
        (False, True),
        ("open", "cycle", "error"),
        ("sync", "async", "exit"),
    )
    if is_saved or durability == "sync"
]


class Cycle:
    """Refers to itself, and to a stream."""


def ended(child: int) -> int:
    """Return the exit code of a process, or by which signal it had to be ended."""
    signal.alarm(PATIENCE)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


way = None
# What was imported is not looked at, and so not copied, at the end of every fork.
gc.freeze()
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
for number in range(int(sys.argv[1])):
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        way = WAYS[number % len(WAYS)]
        break
    graph, is_saved, how, durability = WAYS[number % len(WAYS)]
    expected = 1 if how == "error" else 0
    if (code := ended(child)) != expected:
        sys.stdout.write(f"{graph.__name__} {is_saved=} {how} {durability}: {code}\n")

if way is not None:
    graph, is_saved, how, durability = way
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    stream = graph(Saver() if is_saved else None).stream(
        1 if graph is flow else {"x": []},
        THREAD,
        durability=durability if is_saved else None,
        **(LIVE if graph is flow else {"stream_mode": "updates"}),
    )
    if how == "error":
        for item in stream:
            raise ValueError(item)
    next(stream)
    if how == "cycle":
        cycle = Cycle()
        cycle.itself, cycle.stream = cycle, stream
        del cycle, stream
