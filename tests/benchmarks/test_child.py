"""A process that does work when asked gives answers or a clear error, and is never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.child import ROOT, Child, ChildError

ENGINE = Path(__file__).with_name("engine.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """Give the test an engine that is closed in any case."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    child = Child("an engine", [sys.executable, str(ENGINE)], patience=60)
    yield child
    child.close()


def test_the_work_is_timed_where_it_is_done(child: Child) -> None:
    slow = child.sample("aslow", 5, 4)
    quick = child.sample("idle", 1, 4)

    assert slow >= 0.02
    assert 0 <= quick < slow


def test_work_that_fails_shows_its_traceback_and_the_next_work_is_done(child: Child) -> None:
    with pytest.raises(ChildError, match=r"(?s)an engine failed:.*AssertionError: 6 instead of 7"):
        child.sample("wrong", 7, 1)

    assert child.sample("idle", 1, 1) >= 0


def test_unknown_work_is_an_error(child: Child) -> None:
    with pytest.raises(ChildError, match="KeyError: 'nonsense'"):
        child.sample("nonsense", 1, 1)


def test_a_process_that_dies_says_with_which_code_and_its_last_words(child: Child) -> None:
    with pytest.raises(ChildError, match=r"an engine ended with code 3; its last words:\n.*words"):
        child.sample("dying", 3, 1)


def test_a_program_that_does_not_start_says_why() -> None:
    child = Child("an engine", [sys.executable, "-c", "raise SystemExit('no such engine')"])

    with pytest.raises(ChildError, match="ended with code 1; its last words:\nno such engine"):
        child.sample("idle", 1, 1)


def test_a_process_that_does_not_answer_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    child = Child("an engine", [sys.executable, str(ENGINE)], patience=0.05)

    with pytest.raises(ChildError, match=r"did not answer in 0\.05 s and was stopped"):
        child.sample("endless", 1, 1)


def test_a_closed_process_has_ended_even_in_the_middle_of_its_work(child: Child) -> None:
    child.sample("idle", 1, 1)
    process = child._process
    assert process is not None

    child.close()
    child.close()

    assert process.returncode == -signal.SIGKILL
    assert process.stdout is not None
    assert process.stdout.closed


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_a_harness_that_is_killed(how: signal.Signals, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = "import sys; from benchmarks.child import Child\n"
    code += "Child('an engine', sys.argv[1:]).sample('endless', 1, 1)"
    harness = subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, str(ENGINE), str(pipe)],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )

    # Opens when the engine is in the middle of its work; ends when the engine does.
    with pipe.open() as words:
        began = words.readline()
        harness.send_signal(how)
        rest = words.read()
    harness.wait()

    assert int(began) != harness.pid
    assert rest == ""
