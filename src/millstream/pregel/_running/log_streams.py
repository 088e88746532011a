"""Run streams of a run that was started: read from its log, by any number of readers, at any time.

Each has a mux of its own, which is given the same events in the same order as all others, from the
first one on. So a late reader sees in every view what an early one saw there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream.modes.parts import RunStreamMode
from millstream.pregel._running.run_streams import checked_factories
from millstream.stream._events.mux import StreamMux
from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.pregel._structure.definition import GraphDefinition

Transformers = Sequence[Callable[[tuple[str, ...]], Any]]


class LogStreams:
    """What makes run streams of the log of one run."""

    def __init__(self, graph: GraphDefinition[Any, Any, Any, Any], modes: Sequence[str]) -> None:
        self._graph = graph
        # What its transformers want, whichever kind of run reads the log.
        wanted = StreamMux(factories=checked_factories(graph, ()), is_async=True).modes
        self._modes: Final = frozenset(modes) | wanted
        self.scope: tuple[str, ...] = ()
        """The namespace of the run."""

    @property
    def modes(self) -> list[RunStreamMode]:
        """The stream modes that have to be logged."""
        return [RunStreamMode(mode) for mode in sorted(self._modes)]

    def open(
        self, name: str, events: Iterator[ProtocolEvent], transformers: Transformers | None
    ) -> GraphRunStream:
        """Return a run stream that is read in threads; ids of what it adds begin with the name."""
        return GraphRunStream(events, self._mux(name, transformers, is_async=False))

    def aopen(
        self, name: str, events: AsyncIterator[ProtocolEvent], transformers: Transformers | None
    ) -> AsyncGraphRunStream:
        """Return a run stream that is read in an event loop."""
        return AsyncGraphRunStream(events, self._mux(name, transformers, is_async=True))

    def _mux(self, name: str, transformers: Transformers | None, *, is_async: bool) -> StreamMux:
        factories = checked_factories(self._graph, transformers)
        mux = StreamMux(factories=factories, scope=self.scope, is_async=is_async, _name=name)
        if missing := sorted(mux.modes - self._modes):
            names = ", ".join(map(repr, missing))
            raise ValueError(
                f"The transformers need {names}, which this run does not log: start it with "
                f"stream_mode=[{names}] too"
            )
        return mux
