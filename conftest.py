"""What holds for a whole session of tests.

One that skipped a test it should have run fails when MILLSTREAM_FORBID_SKIPS=1. Continuous
integration sets it, so that a missing package or a wrong guard cannot quietly take tests out of the
suite. And Ctrl-C works, also in a session that a shell has started in the background.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Final

import pytest

# Reasons that hold on a machine that has everything; each names a fact of the interpreter.
ALLOWED_SKIPS: Final = (
    re.compile(r"[Pp]ython\s*(<|>=|older|newer|3\.1\d)"),
    re.compile(r"needs (Windows|macOS|a free-threaded build)"),
)

_forbidden: list[str] = []


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
    """Name the tests that should have run."""
    if _forbidden and os.environ.get("MILLSTREAM_FORBID_SKIPS") == "1":
        terminalreporter.section("skipped, but should run here", red=True)
        for line in _forbidden:
            terminalreporter.line(line)
