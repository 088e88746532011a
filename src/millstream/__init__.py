"""Stateful graphs that stream what happens while they run, with LangGraph's public API.

Import from the submodules, as with LangGraph: `millstream.graph`, `millstream.types`,
`millstream.config`. Importing this package alone loads nothing else. Programs that import
`langgraph`, or packages that do, run on millstream after `install_as_langgraph`.
"""

from millstream.version import __version__

__all__ = ("__version__", "install_as_langgraph")


def install_as_langgraph() -> None:
    """Make `langgraph` mean millstream in this process, for every import from now on.

    `import langgraph.graph` then gives the module `millstream.graph` itself. The packages
    langgraph-checkpoint and langgraph-prebuilt stay what they are. Call it before anything imports
    `langgraph`: with modules of an installed langgraph already loaded it raises `RuntimeError`.
    A second call does nothing. Threads may call it at the same time.
    """
    from millstream.compat.finder import install

    install()
