"""Run streams: many views of one run, each read by whoever wants to.

Open `run_stream` first: what a reader holds. `transformers` has what makes the views,
`stream_channel` what they are read from. Behind these, `_events` has the mux that gives every event
to the transformers, and `_readers` how readers wait and who carries the run on for them. Which
events there are is for `modes` to say. Nothing here runs a graph.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent, convert_to_protocol_event
    from millstream.stream._events.handler import StreamingHandler
    from millstream.stream._events.mux import StreamMux
    from millstream.stream._transformers.base import StreamTransformer
    from millstream.stream.run_stream import (
        AsyncGraphRunStream,
        AsyncSubgraphRunStream,
        GraphRunStream,
        SubgraphRunStream,
    )
    from millstream.stream.stream_channel import StreamChannel
    from millstream.stream.transformers import (
        CheckpointsTransformer,
        CustomTransformer,
        DebugTransformer,
        LifecyclePayload,
        LifecycleTransformer,
        MessagesTransformer,
        SubgraphStatus,
        SubgraphTransformer,
        TasksTransformer,
        UpdatesTransformer,
        ValuesTransformer,
    )

_HOMES = {
    "AsyncGraphRunStream": "stream.run_stream",
    "AsyncSubgraphRunStream": "stream.run_stream",
    "CheckpointsTransformer": "stream.transformers",
    "CustomTransformer": "stream.transformers",
    "DebugTransformer": "stream.transformers",
    "GraphRunStream": "stream.run_stream",
    "LifecyclePayload": "stream.transformers",
    "LifecycleTransformer": "stream.transformers",
    "MessagesTransformer": "stream.transformers",
    "ProtocolEvent": "modes.protocol_events",
    "StreamChannel": "stream.stream_channel",
    "StreamMux": "stream._events.mux",
    "StreamTransformer": "stream._transformers.base",
    "StreamingHandler": "stream._events.handler",
    "SubgraphRunStream": "stream.run_stream",
    "SubgraphStatus": "stream.transformers",
    "SubgraphTransformer": "stream.transformers",
    "TasksTransformer": "stream.transformers",
    "UpdatesTransformer": "stream.transformers",
    "ValuesTransformer": "stream.transformers",
    "convert_to_protocol_event": "modes.protocol_events",
}
"""Where the names are; imported when first used, because most programs need none of them."""

__all__ = (
    "AsyncGraphRunStream",
    "AsyncSubgraphRunStream",
    "CheckpointsTransformer",
    "CustomTransformer",
    "DebugTransformer",
    "GraphRunStream",
    "LifecyclePayload",
    "LifecycleTransformer",
    "MessagesTransformer",
    "ProtocolEvent",
    "StreamChannel",
    "StreamMux",
    "StreamTransformer",
    "StreamingHandler",
    "SubgraphRunStream",
    "SubgraphStatus",
    "SubgraphTransformer",
    "TasksTransformer",
    "UpdatesTransformer",
    "ValuesTransformer",
    "convert_to_protocol_event",
)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"millstream.{home}"), name)
