"""Stateful graphs that stream what happens while they run, with LangGraph's public API.

Import from the submodules, as with LangGraph: `millstream.graph`, `millstream.types`,
`millstream.config`. Importing this package alone loads nothing else.
"""

from millstream.version import __version__

__all__ = ("__version__",)
