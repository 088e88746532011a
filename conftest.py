"""What holds for a whole session of tests.

One that skipped a test it should have run fails when MILLSTREAM_FORBID_SKIPS=1. Continuous
integration sets it, so that a missing package or a wrong guard cannot quietly take tests out of the
suite. A test that fails is repeated only where its mark `flaky` says so, with the reason; the
summary counts those that were. And Ctrl-C works, also in a session that a shell has started in the
background.
"""

from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

# Reasons that hold on a machine that has everything; each names a fact of the interpreter or of the
# repository.
ALLOWED_SKIPS: Final = (
    re.compile(r"[Pp]ython\s*(<|>=|older|newer|3\.1\d)"),
    re.compile(r"needs (Windows|macOS|a free-threaded build)"),
    re.compile(r"the recordings are not part of the repository"),
)

ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""Where an object without a `__repr__` is a test's parameter."""

_forbidden: list[str] = []
_file: Path | None = None
"""Of the last test."""


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(pattern.search(reason) for pattern in ALLOWED_SKIPS):
        _forbidden.append(f"{report.nodeid}: {reason}")


def pytest_configure() -> None:
    """Take back Ctrl-C, which shells have their background jobs ignore, children included."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to repeat a test without a reason, and names that other processes cannot know."""
    for item in items:
        if ADDRESS.search(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: its name has an address in it; give it an id")
        for mark in item.iter_markers("flaky"):
            if not str(mark.kwargs.get("reason", "")).strip():
                raise pytest.UsageError(f"{item.nodeid}: its mark `flaky` needs a reason=")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector.

    Nearly all of what is made stays, and half of the time would go by in looking at it.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Have the garbage collector pass by, between files, what the session has kept so far.

    Otherwise every test that collects looks at a million objects of packages and of other tests.
    """
    global _file
    if item.path != _file:
        _file = item.path
        gc.collect()
        gc.freeze()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that was skipped."""
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a module that was skipped."""
    _note(report)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a passed session with forbidden skips into a failed one."""
    if _forbidden and exitstatus == 0 and os.environ.get("MILLSTREAM_FORBID_SKIPS") == "1":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests that were repeated, and name those that should have run."""
    repeated = {report.nodeid for report in terminalreporter.stats.get("rerun", [])}
    terminalreporter.line(f"repeated tests: {len(repeated)}")
    for name in sorted(repeated):
        terminalreporter.line(f"  {name}")
    if _forbidden and os.environ.get("MILLSTREAM_FORBID_SKIPS") == "1":
        terminalreporter.section("skipped, but should run here", red=True)
        for line in _forbidden:
            terminalreporter.line(line)
