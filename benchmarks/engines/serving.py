"""The side of `child` that works: does what it is asked for on standard input."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, TextIO, TypeAlias

from benchmarks.timing import Measure, stopwatch

Build: TypeAlias = Callable[[int], Callable[[], Any]]
"""Makes the call, perhaps a coroutine function, that does the work in this size."""


def serve(works: Mapping[str, Build]) -> None:
    """Do work until standard input ends, which may be in the middle of it."""
    # Ctrl-C goes to all processes of a terminal; who asks for work ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _claim_output()
    requests = SimpleQueue[str]()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    loop = asyncio.new_event_loop()
    clocks: dict[tuple[str, int], Measure] = {}
    while True:
        request = json.loads(requests.get())
        work, size = key = request["work"], request["size"]
        try:
            if key not in clocks:
                clocks[key] = _prepare(works[work](size), loop)
            answer: dict[str, Any] = {"seconds": clocks[key](request["count"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def _claim_output() -> TextIO:
    """Keep standard output for answers: what engines print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _listen(requests: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _prepare(call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> Measure:
    """Warm up; what exists then is nobody's cost, as in the harness."""
    clock = stopwatch(call, loop)
    clock(1)
    gc.collect()
    gc.freeze()
    return clock
