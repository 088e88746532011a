"""Where the temporary files of tests are: in memory, if the machine has enough of it.

LangGraph's SQLite savers wait for the disk with each commit, and databases do when they are closed.
Nothing of a test has to outlive the machine, so its files need not wait. They go when it has
passed, so that memory holds those of a few tests, and all go with the session: run a test by itself
to look at its files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MEMORY: Final = "/dev/shm"
ENOUGH: Final = 1 << 30
"""Bytes: many times what a few tests have written."""


@contextmanager
def scratch() -> Iterator[dict[str, str]]:
    """Give the environment for a session of tests, with a folder that is gone afterwards."""
    if not is_good(MEMORY):
        yield dict(os.environ)
        return
    # Paths of sockets may have no more than a hundred letters.
    with tempfile.TemporaryDirectory(prefix="t", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        options = f"{os.environ.get('PYTEST_ADDOPTS', '')} -o tmp_path_retention_policy=failed"
        yield {**os.environ, "TMPDIR": folder, "PYTEST_ADDOPTS": options}


def is_good(folder: str) -> bool:
    """Say whether tests can write enough there, and run what they have written."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    about = os.statvfs(folder)
    can_run = not about.f_flag & os.ST_NOEXEC
    return can_run and about.f_bavail * about.f_frsize >= ENOUGH
