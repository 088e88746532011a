"""Run the program in one process after the other, killing each at its moment.

A program of its own (`python -m durability.killing PLAN`, JSON in and out), because it forks: what
takes long, the imports, is done once, and it has no thread that a fork would lose. The fork opens
the saver, runs the graph and dies; nothing of a connection is inherited.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any, Final

from durability import program

PATIENCE: Final = 60.0
"""Seconds without a record after which a launch is given up."""

Entry = tuple[str, int, str]


class Watch:
    """Knows when the moment to kill has come."""

    def __init__(self, moment: dict[str, Any], durability: str) -> None:
        self._round: int = moment["round"]
        self._left: int = moment["skip"]
        self._kind = "end" if durability == "exit" else "saved"
        self._is_anywhere: bool = moment["where"] == "anywhere"
        self._missing = set(program.SIBLINGS) if moment["where"] == "amid" else set()
        self._has_begun = False
        self._is_held = False

    def see(self, entry: Entry) -> bool:
        """Take a record; say whether to kill now."""
        kind, round, node = entry
        self._is_held = self._is_held or kind == "held"
        if not self._is_anywhere:
            if round >= self._round and kind == self._kind:
                self._missing.discard(node)
            return self._is_held and not self._missing
        if self._has_begun:
            self._left -= 1
        elif kind == "begin" and round >= self._round:
            self._has_begun = True
        return self._is_held or (self._has_begun and self._left < 0)


def launch(plan: dict[str, Any], saver_type: Any, moment: dict[str, Any] | None) -> dict[str, Any]:
    """Run the program in a fork until it is killed or ends; return its signal and records."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run(plan, saver_type, moment, writing)
    os.close(writing)
    watch = Watch(moment, plan["durability"]) if moment is not None else None
    records: list[Entry] = []
    rest = b""
    while chunk := _read(reading, child):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            kind, round, node = line.decode().split(" ", 2)
            entry = (kind, int(round), node)
            records.append(entry)
            if watch is not None and watch.see(entry):
                time.sleep(moment["delay"] if moment is not None else 0)
                os.kill(child, signal.SIGKILL)
                watch = None
    os.close(reading)
    assert not rest, "a record was cut in two"
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"status": status, "records": records}


def _read(descriptor: int, child: int) -> bytes:
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    if not ready:
        os.kill(child, signal.SIGKILL)
        raise TimeoutError(f"no record for {PATIENCE} s")
    return os.read(descriptor, 1 << 16)


def _run(
    plan: dict[str, Any], saver_type: Any, moment: dict[str, Any] | None, descriptor: int
) -> None:
    """Be the child; does not return."""
    status = 1
    try:
        part = program.Launch(program.recorder(descriptor), moment)
        if plan["driver"] == "sync":
            program.run(plan, saver_type, part)
        else:
            asyncio.run(program.arun(plan, saver_type, part))
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    """Do what the plan says and print what happened."""
    plan = json.loads(sys.argv[1])
    saver_type = program.saver_class(plan["saver"], is_async=plan["driver"] == "async")
    launches = [launch(plan, saver_type, moment) for moment in (*plan["moments"], None)]
    json.dump(launches, sys.stdout)


if __name__ == "__main__":
    main()
