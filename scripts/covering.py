"""A plugin of pytest (`-p scripts.covering`) that sees which branches the tests of FOLDERS run.

Only those tests are watched, because watching doubles the time they take. Every process of the
session writes a file of its own into FILES, and `report` says what all of them have seen together.
What runs in processes that tests start is not seen.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import coverage
import pytest

LEAST: Final = {
    "drivers": 94,
    # What it does in worker processes is not seen.
    "executors": 76,
    "graph": 89,
    "modes": 95,
    "outbox": 97,
    "pregel": 92,
    "recording": 92,
    "replaying": 94,
    "runs": 92,
    "saving": 94,
    "stimuli": 97,
    "stream": 97,
}
"""Package -> percent of its statements and branches that must have been run. None of them falls.

A little less than what was run, because some branches are a matter of timing."""
FOLDERS: Final = {*LEAST, "prebuilt", "savers"}
ROOT: Final = Path(__file__).parents[1]
FILES: Final = ROOT / "build/coverage"


class Watch:
    """Watches the packages while it is on."""

    def __init__(self) -> None:
        self._coverage = coverage.Coverage(
            data_file=str(FILES / "seen"),
            data_suffix=True,
            config_file=str(ROOT / "pyproject.toml"),
            include=[str(ROOT / f"src/millstream/{package}/*") for package in LEAST],
        )
        # The process that only hands out the tests has seen nothing.
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self._is_on = False

    def turn(self, is_on: bool) -> None:
        """Watch, or watch no longer."""
        if is_on != self._is_on:
            self._is_on = is_on
            (self._coverage.start if is_on else self._coverage.stop)()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Watch the tests of some folders."""
        self.turn(item.path.relative_to(ROOT / "tests").parts[0] in FOLDERS)
        return (yield)

    def pytest_sessionfinish(self) -> None:
        """Write what was seen."""
        self.turn(False)
        self._coverage.save()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Watch from now on: modules are imported once, perhaps by the first conftest."""
    watch = Watch()
    watch.turn(True)
    early_config.pluginmanager.register(watch)


def forget() -> None:
    """Remove what earlier sessions have seen."""
    for file in FILES.glob("seen*"):
        file.unlink()


def report() -> dict[str, str]:
    """Return package -> whether as much of it was run as must be, after showing what was not."""
    if not any(FILES.glob("seen.*")):
        return {"branches": "FAILED: no session has written what it saw"}
    _run("combine", "--quiet")
    outcomes = {}
    for package, least in LEAST.items():
        include = f"--include=src/millstream/{package}/*"
        total = _run("report", "--format=total", include)
        outcomes[f"branches of {package}"] = "passed"
        if int(total) < least:
            sys.stdout.write(_run("report", include) + "\n")
            outcomes[f"branches of {package}"] = f"FAILED: {total} % instead of {least}"
    return outcomes


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "coverage", *arguments, f"--data-file={FILES / 'seen'}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()
