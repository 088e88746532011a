"""Numbers that a process of its own tells at once, handed out one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.child import ROOT


class Readings:
    """What `python -m MODULE ARGUMENTS...` prints as JSON.

    A number that is asked for again is one of another process; with `is_kept` it is the same one,
    because the process takes long and has looked more than once itself.
    """

    def __init__(self, module: str, arguments: Sequence[object], *, is_kept: bool = False) -> None:
        self._command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
        self._is_kept = is_kept
        self._left: dict[str, float] = {}

    def take(self, name: str, *more: object) -> float:
        """Return the number with this name; a process is given `more` arguments."""
        if name not in self._left:
            command = [*self._command, *map(str, more)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            self._left = json.loads(done.stdout)
        return self._left[name] if self._is_kept else self._left.pop(name)
