"""What consumers see of a run.

`modes` turns the facts a run tells about itself into payloads, one projector per stream mode;
`parts` is the one shape in which payloads of every nesting level travel, and encodes it for the
consumer. `run_stream` has many views of one run, made by transformers. Nothing here runs a graph.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.stream.handler import StreamingHandler
    from millstream.stream.mux import StreamMux
    from millstream.stream.protocol import ProtocolEvent, convert_to_protocol_event
    from millstream.stream.run_stream import (
        AsyncGraphRunStream,
        AsyncSubgraphRunStream,
        GraphRunStream,
        SubgraphRunStream,
    )
    from millstream.stream.stream_channel import StreamChannel
    from millstream.stream.transformer import StreamTransformer
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
    "AsyncGraphRunStream": "run_stream",
    "AsyncSubgraphRunStream": "run_stream",
    "CheckpointsTransformer": "transformers",
    "CustomTransformer": "transformers",
    "DebugTransformer": "transformers",
    "GraphRunStream": "run_stream",
    "LifecyclePayload": "transformers",
    "LifecycleTransformer": "transformers",
    "MessagesTransformer": "transformers",
    "ProtocolEvent": "protocol",
    "StreamChannel": "stream_channel",
    "StreamMux": "mux",
    "StreamTransformer": "transformer",
    "StreamingHandler": "handler",
    "SubgraphRunStream": "run_stream",
    "SubgraphStatus": "transformers",
    "SubgraphTransformer": "transformers",
    "TasksTransformer": "transformers",
    "UpdatesTransformer": "transformers",
    "ValuesTransformer": "transformers",
    "convert_to_protocol_event": "protocol",
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
    return getattr(import_module(f"{__name__}.{home}"), name)
