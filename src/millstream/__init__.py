"""Stateful graphs that stream what happens while they run, with LangGraph's public API.

Import from the submodules, as with LangGraph: `millstream.graph`, `millstream.types`,
`millstream.config`. Importing this package alone loads nothing else. Programs that import
`langgraph`, or packages that do, run on millstream after `install_as_langgraph`. `replay` shows a
recorded run again.

PYTEST_DONT_REWRITE: a program may import this before pytest, which would warn of that.
"""

from __future__ import annotations

from millstream.version import __version__

# Type checkers take it for true. That of `typing` would load a module that programs may not need.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from typing import IO, Any

    from millstream.replaying.replay import Replay

__all__ = ("__version__", "install_as_langgraph", "replay")


def install_as_langgraph() -> None:
    """Make `langgraph` mean millstream in this process, for every import from now on.

    `import langgraph.graph` then gives the module `millstream.graph` itself. The packages
    langgraph-checkpoint and langgraph-prebuilt stay what they are. Call it before anything imports
    `langgraph`: with modules of an installed langgraph already loaded it raises `RuntimeError`.
    A second call does nothing. Threads may call it at the same time.
    """
    from millstream.compat.finder import install

    install()


def replay(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    graph: Any = None,
    speed: float | None = None,
    allowed: Collection[tuple[str, str]] = (),
) -> Replay:
    """Return a recorded run, whose `stream`, `astream` and their relatives show it again.

    Args:
        source: The path of a recording, or a binary file that can be read from its beginning.
        graph: The graph that ran, for streams that show instances of the classes of its state.
        speed: How fast: 1 is as it was, 2 twice as fast; None does not wait at all.
        allowed: Module and name of classes that the file may have instances of, besides messages
            and what is safe anywhere. Only those of a graph that is given are allowed with it.

    Raises:
        RecordingError: The file is no recording.

    Example:
        >>> import io, millstream
        >>> from millstream.graph import START, MessagesState, StateGraph
        >>> def answer(state: MessagesState, writer) -> dict:
        ...     writer("thinking")
        ...     return {"messages": "Hello!"}
        >>> builder = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
        >>> _ = builder.compile().invoke({"messages": "Hi"}, record=(file := io.BytesIO()))
        >>> list(millstream.replay(file).stream(stream_mode="custom"))
        ['thinking']
    """
    from millstream.replaying.replay import Replay

    return Replay(source, graph=graph, speed=speed, allowed=allowed)
