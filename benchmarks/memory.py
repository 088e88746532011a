"""How much memory this process has, as the system sees it.

That is what the machine has to give, in whatever way it was allocated. Python's own accounting
(`tracemalloc`) would miss what C libraries take, and slow the run down.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

UNITS: Final = {"linux": 1024, "darwin": 1}
"""Platform -> bytes per unit of a process's peak, as the system reports it."""


def peak() -> float:
    """Return the most memory this process has had at once, in MB."""
    # Unlike the usage below, this one does not begin with that of the process that started it.
    if (found := _status("VmHWM")) is not None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNITS[sys.platform] / 1e6


def present() -> float:
    """Return the memory this process has now, in MB; where the system does not say, the peak."""
    found = _status("VmRSS")
    return found if found is not None else peak()


def _status(field: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
