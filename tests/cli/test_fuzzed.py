"""Whatever is typed, the command ends with one of four exit codes and without a traceback of ours.

Command lines are made at random of the commands and options that there are, with values that may be
meant and others that nobody means.
"""

from __future__ import annotations

import io
import re
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import typer

import millstream as package
from cli.conftest import Outcome
from millstream.cli.commands import app

LINES: Final = 30
"""Command lines of one test; a hundred tests make three thousand."""
OURS: Final = str(Path(package.__file__).parent)

TARGETS: Final = (
    "graphs.py", "graphs", "graphs.py:graph", "graphs:only_async", "graphs.py:failing",
    "graphs:make", "graphs:make_async", "graphs:needs", "graphs:broken", "graphs:invalid",
    "graphs:number", "nowhere:x", "graphs.py:", ":graph", "broken.py",
)  # fmt: skip
VALUES: Final = (
    "", " ", "-", "--", "-1", "0", "1", "2", "9" * 30, "1e309", "nan", "null", "{}", "[]",
    '{"x": 1}', '{"x": "a"}', '{"configurable": {"thread_id": "1"}}', '{"recursion_limit": 0}',
    "{", "@missing", "@.", "@input.json", "@graphs.py", "threads.db", "graphs.py", "made",
    "run.jsonl.gz", "a:b:c", "\x1b[8m", "\u202e", "😀", "\udcff", "x" * 5000, "../..", "/",
    "postgresql://nobody@127.0.0.1:1/x", "inf", "%s", "values", "updates", "messages", "tools",
    "checkpoints", "mermaid", "svg", "png", "max", "0.5", "--help", "-h", "-V",
)  # fmt: skip
HOSTS: Final = ("", "127.0.0.1", "x" * 100, "..")
"""None that a name server would be asked for."""
PORTS: Final = ("-1", "70000", "9" * 30, "x")
"""None that could be had: a server that begins does not end."""
PASSED_BY: Final = ("--watch", "--install-completion")
"""What does not end, and what changes the shell's files."""


def commands() -> list[tuple[list[str], Any]]:
    """Return all commands by their names."""
    found = []
    waiting: list[tuple[list[str], Any]] = [([], typer.main.get_command(app))]
    while waiting:
        names, command = waiting.pop()
        found.append((names, command))
        waiting += [
            ([*names, name], each) for name, each in getattr(command, "commands", {}).items()
        ]
    # What `exec` runs takes the place of this process's modules; test_exec has its own.
    return sorted((each for each in found if each[0] != ["exec"]), key=lambda each: each[0])


class Typist:
    """Types command lines at random."""

    def __init__(self, seed: int, taken: int) -> None:
        self._random = Random(seed)
        self._commands = commands()
        self._taken = str(taken)

    def line(self) -> list[str]:
        """Return a command line."""
        names, command = self._random.choice(self._commands)
        words = [*names]
        if names and names[0] in ("dev", "serve"):
            words += ["--port", self._taken]
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option"]
        for argument in arguments:
            if self._random.random() < 0.9:
                words.append(self._argument(names, argument))
        for option in self._random.sample(
            options, self._random.randrange(min(len(options), 4) + 1)
        ):
            words += self._option(option)
        if self._random.random() < 0.15:
            place = self._random.randrange(len(words) + 1)
            # A server that got another port would begin.
            place += words[place - 1 : place] == ["--port"]
            words.insert(place, self._random.choice(VALUES))
        if names == [] or names == ["threads"]:
            # The name of a command that there is may come by chance; it then gets what it gets.
            words = [word for word in words if word not in PASSED_BY]
        return words

    def _argument(self, names: list[str], argument: Any) -> str:
        if names == ["hook"]:
            # It would change this environment.
            return self._random.choice(["show", "shwo", ""])
        likely = TARGETS if argument.name in ("target", "targets") else VALUES
        return self._random.choice(likely if self._random.random() < 0.7 else VALUES)

    def _option(self, option: Any) -> list[str]:
        name = self._random.choice(option.opts)
        if name in PASSED_BY:
            return []
        if option.is_flag:
            return [name]
        pool = {"host": HOSTS, "port": PORTS}.get(option.name, VALUES)
        return [name, self._random.choice(pool)]


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 100))]
)
def test_any_command_line_ends_with_a_known_code_and_no_traceback_of_ours(
    millstream: Callable[..., Outcome],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: int,
    seed: int,
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "broken.py").write_text("1 / 0", encoding="utf-8")
    (folder / "input.json").write_text('{"x": 1}', encoding="utf-8")
    kept = ["--checkpointer", "threads.db", "--thread", "1", "--record", "run.jsonl.gz"]
    assert millstream("run", "graphs.py", "-i", '{"x": 1}', *kept).code == 0
    typist = Typist(seed, taken)

    for _ in range(LINES):
        words = typist.line()
        monkeypatch.setattr(sys, "stdin", io.StringIO('{"x": 1}'))
        # As the command has it, when it is no function of a test.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]  # pytest's
        outcome = millstream(*words)

        shown = f"millstream {shlex.join(words)[:500]}\n{outcome.err}"
        assert outcome.code in (0, 1, 2, 130), shown
        if "--traceback" not in words:
            assert OURS not in outcome.err, shown
        if outcome.code == 2 and outcome.err and "--traceback" not in words:
            assert re.fullmatch(r"millstream: \S[^\n]*\n", outcome.err), shown
