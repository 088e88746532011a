"""A process that does work when asked: how engines take part that live in another environment.

Both sides talk in JSON, one object a line: `{"work", "size", "count"}` is answered by `{"seconds"}`
or `{"error"}`. `engines.serving` is the other side; the process ends when its input does.
"""

from __future__ import annotations

import json
import select
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 120.0
"""Seconds that an answer may take."""
TAIL: Final = 2000
"""Characters of a dead process's last words that its error shows."""


class ChildError(RuntimeError):
    """A process that should have done work failed, died or did not answer."""


class Child:
    """One such process; it is started when it is first asked."""

    def __init__(self, name: str, command: Sequence[str], patience: float = PATIENCE) -> None:
        self.name = name
        self._command = command
        self._patience = patience
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] | None = None

    def sample(self, work: str, size: int, count: int) -> float:
        """Let it do the work so often; return the seconds that took.

        Raises ChildError; the process is closed then, unless it was the work that failed.
        """
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            request = {"work": work, "size": size, "count": count}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._give_up("ended") from None
        # One request, one line: nothing can be waiting in the reader's buffer already.
        if not select.select([process.stdout], [], [], self._patience)[0]:
            raise self._give_up(f"did not answer in {self._patience:g} s and was stopped")
        line = process.stdout.readline()
        if not line:
            raise self._give_up("ended")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildError(f"{self.name} failed:\n{answer['error']}")
        return float(answer["seconds"])

    def close(self) -> None:
        """Stop the process and wait until it has ended."""
        if self._process is None:
            return
        process, self._process = self._process, None
        # What it does is only measured: there is nothing that it could lose.
        process.kill()
        # Also closes its pipes.
        process.communicate()
        assert self._complaints is not None
        self._complaints.close()

    def _start(self) -> subprocess.Popen[str]:
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # `close` closes it
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        return self._process

    def _give_up(self, what: str) -> ChildError:
        process, complaints = self._process, self._complaints
        assert process is not None
        assert complaints is not None
        if what == "ended":
            what += f" with code {process.wait()}"
        complaints.seek(0)
        words = complaints.read()[-TAIL:].strip()
        self.close()
        return ChildError(f"{self.name} {what}" + (f"; its last words:\n{words}" if words else ""))
