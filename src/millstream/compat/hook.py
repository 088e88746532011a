"""The hook that makes `langgraph` mean millstream in every process of an environment that asks.

Worker processes do not run the line that calls `install_as_langgraph`, and may import anything
before they run code of the program. The hook is a `.pth` file in the environment's site-packages:
Python runs the line in it at start.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Final

__all__ = ("LINE", "VARIABLE", "add_hook", "hook_path", "remove_hook")

VARIABLE: Final = "MILLSTREAM_AS_LANGGRAPH"
"""The environment variable that asks for it: any value but none and 0."""
LINE: Final = (
    f"import os; os.environ.get({VARIABLE!r}, '0') not in ('', '0') "
    "and __import__('importlib.util').util.find_spec('millstream') "
    "and __import__('millstream').install_as_langgraph()\n"
)
"""The hook. It outlives millstream where that is uninstalled, and then does nothing."""


def hook_path() -> Path:
    """Return where the hook of this environment is, or would be."""
    return Path(sysconfig.get_path("purelib"), "millstream_as_langgraph.pth")


def add_hook() -> Path:
    """Write the hook, again if it is there, and return its path."""
    path = hook_path()
    path.write_text(LINE, encoding="utf-8")
    return path


def remove_hook() -> bool:
    """Remove the hook; say whether there was one."""
    path = hook_path()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed
