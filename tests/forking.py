"""Run programs in forks of a process that has what both libraries build on, and nothing of them.

A program of its own, for `forked_python`. Each line it reads is a JSON list, `[arguments, stdin,
environment, directory]`; it does with the arguments what `python` does, but without the imports
that take longest and are the same for all. It answers with a line, `[exit code, what was written to
stdout, and to stderr]`.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import tempfile
from types import CodeType
from typing import IO, Any

# The largest of what is imported with `langgraph.graph` and with `millstream.graph`.
import langchain_core.messages
import langchain_core.tools
import langchain_core.tracers.event_stream  # noqa: F401


def begin(job: list[Any], files: list[IO[bytes]]) -> CodeType | str:
    """Become the process that a program runs in; return its code, or the name of its module."""
    (kind, *arguments), _, environment, directory = job
    for descriptor, file in enumerate(files):
        os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    if kind == "-m":
        sys.argv[:], sys.path[0] = ["-m", *arguments[1:]], directory
        return str(arguments[0])
    if kind == "-c":
        sys.argv[:], sys.path[0] = ["-c", *arguments[1:]], ""
        return compile(arguments[0], "<string>", "exec")
    sys.argv[:], sys.path[0] = [kind, *arguments], os.path.dirname(os.path.abspath(kind))
    with open(kind, "rb") as source:
        return compile(source.read(), kind, "exec")


def text(file: IO[bytes]) -> str:
    """Return all that was written to a file."""
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


def run(program: CodeType | str, names: dict[str, Any]) -> None:
    """Run a program as the main module, which knows nothing of what is here."""
    run_module, file = runpy._run_module_as_main, sys.argv[0]  # type: ignore[attr-defined]
    for name in [name for name in names if not name.startswith("__") or name == "__annotations__"]:
        del names[name]
    names["__doc__"] = None
    if isinstance(program, str):
        run_module(program)
    else:
        names["__file__"] = file
        if file == "-c":
            del names["__file__"]
        exec(program, names)


# When a process ends, the collector looks through all there is: what is here takes it a fifth of a
# second, each time.
gc.collect()
gc.freeze()

program: CodeType | str | None = None
# Not stdin and stdout themselves, which are the programs'.
with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "w") as answers:
    for line in requests:
        request = json.loads(line)
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(request[1].encode())
            given.seek(0)
            child = os.fork()
            if not child:
                program = begin(request, [given, out, err])
                break
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            answer = json.dumps([status, text(out), text(err)])
        answers.write(answer + "\n")
        answers.flush()

# The end of this file is that of the program too, so that it ends as any program does.
if program is not None:
    run(program, globals())
