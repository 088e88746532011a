"""Compiled graphs: running, streaming, drawing; and the low-level way to build one.

Open `main` first: `Pregel` is what `compile()` returns and users call. `opening` and `request`
turn a call into a run, `compiling` turns nodes and channels into what the engine runs.
"""

from millstream.pregel.main import NodeBuilder, Pregel

__all__ = ("NodeBuilder", "Pregel")
