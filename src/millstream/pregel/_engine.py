"""What a compiled graph is run with: modules that are imported when a graph first needs them.

Many programs make graphs and run none of them: they draw or check them, or are only asked for help.
What describes a graph therefore imports nothing that runs one, nor what reads its saved state. The
methods of a compiled graph find that here, and from the second time on it costs them no more than
any name of a module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from millstream.drivers import aio, event_stream, requests, sync, waits
    from millstream.pregel._running import opening, results
    from millstream.pregel._saved_state import locations, snapshots, updates

__all__ = (
    "aio",
    "event_stream",
    "locations",
    "opening",
    "requests",
    "results",
    "snapshots",
    "sync",
    "updates",
    "waits",
)

_HOMES: Final = {
    "aio": "drivers",
    "event_stream": "drivers",
    "locations": "pregel._saved_state",
    "opening": "pregel._running",
    "requests": "drivers",
    "results": "pregel._running",
    "snapshots": "pregel._saved_state",
    "sync": "drivers",
    "updates": "pregel._saved_state",
    "waits": "drivers",
}
"""The packages that the modules are in."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"millstream.{home}.{name}")
    # From now on it is found without a call.
    globals()[name] = module
    return module
