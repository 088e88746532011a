"""`StreamingHandler`: run streams of one graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream


class _Streamable(Protocol):
    def stream_v2(self, input: Any, config: Any = None, **kwargs: Any) -> GraphRunStream: ...

    async def astream_v2(
        self, input: Any, config: Any = None, **kwargs: Any
    ) -> AsyncGraphRunStream: ...


class StreamingHandler:
    """Opens run streams of a compiled graph; its methods take what `stream_v2` takes."""

    def __init__(self, graph: _Streamable) -> None:
        self.graph = graph

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> GraphRunStream:
        """Return one run, not begun, that is carried on by whoever reads it."""
        return self.graph.stream_v2(input, config, **kwargs)

    async def astream(self, input: Any, config: Any = None, **kwargs: Any) -> AsyncGraphRunStream:
        """Return one async run, not begun, that is carried on by whoever reads it."""
        return await self.graph.astream_v2(input, config, **kwargs)


StreamingHandler.__module__ = "millstream.stream"
