"""Fresh Python processes, with and without the langgraph distribution."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import millstream
from forked_python import ForkedPython

SITE = Path(sysconfig.get_path("purelib"))
SOURCE = Path(millstream.__file__).parents[1]
SHARED = ("cache", "checkpoint", "prebuilt", "store")
"""What other distributions put into the namespace package `langgraph`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Python:
    """A Python that can import what the tests can."""

    command: tuple[str, ...]
    environment: dict[str, str]

    def run(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Outcome:
        """Run it to its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**self.environment, **variables},
            timeout=100,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def check(self, code: str, *arguments: str, **variables: str) -> str:
        """Run some code, which must not fail, and return what it printed."""
        outcome = self._run_code(textwrap.dedent(code), *arguments, **variables)
        assert outcome.code == 0, outcome.err
        return outcome.out

    def _run_code(self, code: str, *arguments: str, **variables: str) -> Outcome:
        return self.run("-c", code, *arguments, **variables)


@dataclass(frozen=True, slots=True)
class QuickPython(Python):
    """Checks code in a process that has imported other packages already; see `forked_python`."""

    forked: ForkedPython

    def _run_code(self, code: str, *arguments: str, **variables: str) -> Outcome:
        environment = {**self.environment, **variables}
        done = self.forked.run("-c", code, *arguments, environment=environment)
        return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def quick(command: Sequence[str], environment: dict[str, str]) -> Iterator[Python]:
    """Give a Python that is quick to check code."""
    forked = ForkedPython(command, environment)
    yield QuickPython(tuple(command), environment, forked)
    forked.close()


def _environment(*paths: Path) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "MILLSTREAM", "LANGGRAPH", "LANGSMITH", "LANGCHAIN"))
    }
    return {
        **inherited,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }


@pytest.fixture(scope="session")
def without_langgraph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Python]:
    """Give a Python that has all packages but the langgraph distribution."""
    site = tmp_path_factory.mktemp("site")
    for entry in SITE.iterdir():
        if entry.name != "langgraph" and not entry.name.startswith("langgraph-1"):
            (site / entry.name).symlink_to(entry)
    (site / "langgraph").mkdir()
    for name in SHARED:
        (site / "langgraph" / name).symlink_to(SITE / "langgraph" / name)
    # -S: its own site-packages stay out.
    with quick((sys.executable, "-S"), _environment(SOURCE, site)) as python:
        yield python


@pytest.fixture(scope="session")
def with_langgraph() -> Iterator[Python]:
    """Give a Python that has the langgraph distribution too."""
    with quick((sys.executable,), _environment(SOURCE)) as python:
        yield python


@pytest.fixture(params=["with_langgraph", "without_langgraph"])
def python(request: pytest.FixtureRequest) -> Python:
    """Give either; the test runs once with each."""
    fresh: Python = request.getfixturevalue(request.param)
    return fresh


@pytest.fixture(scope="session")
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Give the Python of a virtual environment that a test may change."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    return Python((str(python),), _environment(SOURCE, SITE))


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Write a program to `program.py` in a directory of its own."""

    def write(code: str, name: str = "program.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(code))
        return path

    return write


def exec_command(*arguments: str) -> Sequence[str]:
    """Return the arguments for `millstream exec`."""
    return ("-m", "millstream.cli", "exec", *arguments)
