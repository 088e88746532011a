"""Graphs in files, and ways to call the command on them."""

from __future__ import annotations

import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest
from pexpect.fdpexpect import fdspawn

from cli.terminal import Terminal
from importing import importing_from
from millstream.cli import main

GRAPHS = """
import asyncio
import time

from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph


class State(TypedDict, total=False):
    x: int


def chain(*nodes):
    builder = StateGraph(State).add_sequence(list(nodes))
    return builder.add_edge(START, nodes[0].__name__)


def add(state):
    get_stream_writer()(f"x is {state['x']}")
    return {"x": state["x"] + 1}


async def add_async(state):
    return {"x": state["x"] + 1}


def show(state):
    get_stream_writer()({"seen": {1, 2}, "why": ValueError("no")})
    print("printed by the node")


def fail(state):
    return divide(state["x"])


def divide(x):
    return x / 0


def chatter(state):
    writer = get_stream_writer()
    for number in range(100_000):
        writer(f"line {number}")


def linger(state):
    get_stream_writer()("lingering")
    time.sleep(30)


builder = chain(add)
graph = builder.compile()
only_async = chain(add_async)
outer = StateGraph(State).add_node("inner", chain(add).compile()).add_edge(START, "inner")
shown = chain(show)
failing = chain(fail)
chatting = chain(chatter)
lingering = chain(linger)
invalid = StateGraph(State)
number = 5


def make():
    return builder


def needs(argument):
    return builder


def broken():
    raise RuntimeError("not\\ntoday")


async def make_async():
    return builder
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of the command did."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr of a usage error."""
        assert self.code == 2
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("millstream: ")
        return line.removeprefix("millstream: ")


Millstream = Callable[..., Outcome]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty current directory with `graphs.py`; imports from it are forgotten."""
    (tmp_path / "graphs.py").write_text(GRAPHS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with importing_from(tmp_path):
        yield tmp_path


@pytest.fixture
def millstream(folder: Path, capsys: pytest.CaptureFixture[str]) -> Millstream:
    """Give the command as a function, called in this process."""

    def call(*arguments: str) -> Outcome:
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give the command as a function that starts a process of its own.

    Ctrl-C reaches it also when the tests run in the background, where a shell has it ignored.
    """
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "millstream.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


class Called:
    """A call of the command on a terminal, in a thread of this process."""

    def __init__(self, arguments: tuple[str, ...], terminal: Terminal, encoding: str) -> None:
        self.terminal = terminal
        ours, theirs = pty.openpty()
        self._files = [
            open(theirs, encoding=encoding, closefd=False),  # noqa: SIM115
            open(theirs, "w", encoding=encoding, errors="backslashreplace"),  # noqa: SIM115
        ]
        self._keyboard = fdspawn(ours, encoding="utf-8", timeout=60)
        self._keyboard.logfile_read = self
        self._raw: list[str] = []
        self._code: int | None = None
        self._thread = threading.Thread(target=self._call, args=(arguments,))
        self._before = sys.stdin, sys.stdout, sys.stderr
        sys.stdin, sys.stdout, sys.stderr = self._files[0], self._files[1], self._files[1]
        self._thread.start()

    @property
    def raw(self) -> str:
        """All that was written, with its codes."""
        return "".join(self._raw)

    def write(self, text: str) -> None:
        """Take what was written; a log of pexpect."""
        self._raw.append(text)
        self.terminal.write(text)

    def flush(self) -> None:
        """Do nothing; a log of pexpect."""

    def expect(self, pattern: str) -> None:
        """Wait until something can be read."""
        deadline = time.monotonic() + 100
        while not re.search(pattern, self.terminal.text, re.MULTILINE):
            assert time.monotonic() < deadline, f"{pattern} is not in\n{self.terminal.text}"
            self._read()

    def type(self, line: str) -> None:
        """Type a line."""
        self._keyboard.sendline(line)

    def wait(self) -> int:
        """Read to the end, and return the exit code."""
        is_over = False
        while self._read() or not is_over:
            is_over = not self._thread.is_alive()
        self.close()
        assert self._code is not None
        return self._code

    def _read(self) -> bool:
        try:
            return bool(self._keyboard.read_nonblocking(65536, timeout=0.1))
        except pexpect.TIMEOUT:
            return False

    def close(self) -> None:
        """Hang up."""
        if self._files:
            sys.stdin, sys.stdout, sys.stderr = self._before
            files, self._files = self._files, []
            if self._thread.is_alive():
                # It may wait for somebody to type.
                self._keyboard.close()
            self._thread.join(60)
            for file in files:
                with suppress(OSError):
                    file.close()
            self._keyboard.close()

    def _call(self, arguments: tuple[str, ...]) -> None:
        self._code = main(arguments)
        sys.stdout.flush()


@pytest.fixture
def on_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Called]]:
    """Give the command as a function that calls it on a terminal of some width."""
    calls: list[Called] = []

    def call(
        *arguments: str, width: int = 80, height: int = 24, encoding: str = "utf-8", **more: str
    ) -> Called:
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in {"TERM": "xterm-256color", **more}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("LINES", str(height))
        calls.append(Called(arguments, Terminal(width, height), encoding))
        return calls[-1]

    yield call
    for each in calls:
        each.close()
