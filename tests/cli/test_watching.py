"""`millstream run --watch` runs again when a file has changed."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millstream.cli import watching
from millstream.cli.watching import changed, folder_of, look, watch

SAYING = """
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from words import WORD


class State(TypedDict, total=False):
    word: str


graph = StateGraph(State).add_node("say", lambda state: {"word": WORD}).add_edge(START, "say")
"""


def test_files_that_come_go_and_change_are_seen(tmp_path: Path) -> None:
    for name in ("same.py", "gone.py", "other.py", "notes.txt"):
        (tmp_path / name).write_text("1")
    (tmp_path / "input.json").write_text("{}")
    files = [str(tmp_path / "input.json")]

    before = look(str(tmp_path), files)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "other.py").write_text("22")
    (tmp_path / "notes.txt").write_text("22")
    (tmp_path / "input.json").write_text("[1]")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "new.py").touch()
    now = look(str(tmp_path), files)

    assert changed(before, now) == ["gone.py", "input.json", "other.py", "new.py"]
    assert changed(now, now) == []


@pytest.mark.parametrize("name", [".git", "__pycache__", "node_modules", "site-packages", "env"])
def test_what_nobody_writes_by_hand_is_passed_by(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "lib").mkdir(parents=True)
    (tmp_path / name / "lib" / "module.py").touch()
    if name == "env":
        (tmp_path / name / "pyvenv.cfg").touch()

    assert look(str(tmp_path), []) == {}


class Stuck:
    """A process that hears no signal."""

    def poll(self) -> None:
        return None

    def send_signal(self, number: int) -> None: ...

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None:
            raise subprocess.TimeoutExpired("stuck", timeout)
        return -signal.SIGKILL

    def kill(self) -> None: ...


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "kind", "written"),
    [
        (Terminal(), "xterm", "\r\x1b[K\x1b[?7h\x1b[?25h"),
        (Terminal(), "dumb", "\n"),
        (io.StringIO(), "xterm", ""),
    ],
)
def test_the_line_of_a_run_that_had_to_be_killed_is_taken_away(
    monkeypatch: pytest.MonkeyPatch, out: io.StringIO, kind: str, written: str
) -> None:
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", kind)

    watching._stop(Stuck())  # type: ignore[arg-type]  # all that is asked of a process

    assert out.getvalue() == written


def test_the_folder_is_the_one_that_modules_are_imported_from(folder: Path) -> None:
    (folder / "mill" / "parts").mkdir(parents=True)
    (folder / "mill" / "__init__.py").touch()
    (folder / "mill" / "parts" / "__init__.py").touch()

    targets = ["graphs.py", "graphs.py:graph", "mill/parts/flow.py:graph", "mill.parts.flow:graph"]

    assert {folder_of(target) for target in targets} == {str(folder)}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--record", "run.jsonl"], "--record keeps one run, --watch makes many; give one of them"),
        (["-i", "-"], "--watch runs more than once, and stdin is read once; give @FILE"),
    ],
)
def test_what_is_there_once_cannot_be_watched(
    millstream: Any, arguments: list[str], complaint: str
) -> None:
    assert millstream("run", "graphs.py", "--watch", *arguments).complaint == complaint


@pytest.mark.parametrize(("cause", "raised"), [("SIGTERM", SystemExit), ("error", LookupError)])
def test_a_run_ends_with_who_watches_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cause: str, raised: type[BaseException]
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    def end(seconds: float) -> None:
        monkeypatch.undo()
        if cause == "error" or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            raise LookupError
        signal.raise_signal(signal.SIGTERM)

    waiting = folder / "waiting"
    waiting.write_text("#!/bin/sh\nexec sleep 600\n")
    waiting.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(waiting))
    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(time, "sleep", end)

    with pytest.raises(raised) as caught:
        watch(["run", "graphs.py"], "graphs.py", [])

    ended = [process.returncode for process in started]
    for process in started:
        process.kill()

    assert getattr(caught.value, "code", 143) == 143
    assert len(ended) == 1
    assert None not in ended
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.long
def test_a_change_runs_the_graph_again_until_ctrl_c(
    start: Callable[..., subprocess.Popen[str]], folder: Path
) -> None:
    (folder / "words.py").write_text("WORD = 'oats'")
    (folder / "saying.py").write_text(SAYING)
    process = start("run", "saying.py", "--json", "--watch")
    assert process.stdout is not None
    assert process.stderr is not None

    first = process.stdout.readline()
    (folder / "words.py").write_text("WORD = 'barley'")
    second = process.stdout.readline()
    process.send_signal(signal.SIGINT)

    assert '"oats"' in first
    assert '"barley"' in second
    assert process.wait(60) == 130
    assert "millstream: words.py changed; once more\n" in process.stderr.read()
