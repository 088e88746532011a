"""Compiled graphs: running, streaming, drawing; and the low-level way to build one.

Open `main` first: `Pregel` is what `compile()` returns and users call. `_running` turns a call into
a run, `_saved_state` reads and changes what is saved of threads, `_structure` turns nodes and
channels into what the engine runs, and draws it.
"""

from millstream.pregel.main import NodeBuilder, Pregel

__all__ = ("NodeBuilder", "Pregel")
