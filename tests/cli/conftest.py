"""Graphs in files, and ways to call the command on them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


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
