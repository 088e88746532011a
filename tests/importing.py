"""Modules that a test has written, and imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Have what is imported from a folder forgotten: other tests have modules of the same names."""
    before = set(sys.modules)
    with patch.object(sys, "path", sys.path.copy()):
        yield
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
