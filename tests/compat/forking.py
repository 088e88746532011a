"""Run programs in forks of a process that has what both libraries build on, and nothing of them.

A program of its own: it reads a JSON list `[code, arguments, environment]` from each line and runs
the code as `python -c` does, but without the imports that take longest and are the same for all.
It answers with a line, `[exit code, what was written to stdout, and to stderr]`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import IO, Any

# The largest of what is imported with `langgraph.graph` and with `millstream.graph`.
import langchain_core.messages
import langchain_core.tools
import langchain_core.tracers.event_stream  # noqa: F401


def begin(job: list[Any], out: IO[bytes], err: IO[bytes]) -> str:
    """Become the process that the code runs in; return the code."""
    code, arguments, environment = job
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.argv[:] = ["-c", *arguments]
    sys.path[0] = ""
    os.environ.update(environment)
    return str(code)


def text(file: IO[bytes]) -> str:
    """Return all that was written to a file."""
    file.seek(0)
    return file.read().decode()


code = None
for line in sys.stdin.buffer:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            code = begin(json.loads(line), out, err)
            break
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer = json.dumps([status, text(out), text(err)])
    sys.stdout.write(answer + "\n")
    sys.stdout.flush()

# The end of this file is that of the code too, so that it ends as any program does.
if code is not None:
    exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
