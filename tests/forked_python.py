"""Programs that need a process of their own, started in a tenth of the time: see `forking`."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from strict_python import STRICT_PYTHON

SERVER: Final = Path(__file__).with_name("forking.py")


class ForkedPython:
    """A Python whose processes are forks of one that has imported other packages already.

    What tests see of a process's start, such as hash seeds and what it has imported, needs a real
    one, and so does who talks to a process while it runs.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = [*command, str(SERVER)]
        self._environment = dict(environment)
        self._server: subprocess.Popen[str] | None = None

    def run(
        self,
        *arguments: str,
        stdin: str = "",
        environment: Mapping[str, str],
        cwd: str | Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, with the arguments of `python`, in exactly this environment."""
        if not hasattr(os, "fork"):
            return subprocess.run(
                [*self._command[:-1], *arguments],
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                env=dict(environment),
                cwd=cwd,
                check=False,
            )
        job = [arguments, stdin, dict(environment), str(cwd or os.getcwd())]
        try:
            code, out, err = self._ask(json.dumps(job))
        except BaseException:
            # What it answers now would be taken for the answer to the next question.
            self.close()
            raise
        return subprocess.CompletedProcess(arguments, code, out, err)

    def _ask(self, question: str) -> tuple[int, str, str]:
        server = self._server = self._server or self._start()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(question + "\n")
        server.stdin.flush()
        code, out, err = json.loads(server.stdout.readline())
        return code, out, err

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=self._environment,
            start_new_session=True,
        )

    def close(self) -> None:
        """End what is started, and what still runs of it."""
        server, self._server = self._server, None
        if server is not None:
            with server, suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


@functools.cache
def _strict_python() -> ForkedPython:
    python = ForkedPython(STRICT_PYTHON, {**os.environ, "PYTHONIOENCODING": "utf-8"})
    atexit.register(python.close)
    return python


def run_python(
    *arguments: str,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with the arguments of `python`; its warnings are errors.

    The environment is this one by default.
    """
    return _strict_python().run(
        *arguments,
        stdin=stdin,
        environment=os.environ if environment is None else environment,
        cwd=cwd,
    )
