"""The built-in transformers, one per projection of a run stream."""

from __future__ import annotations

from millstream.modes.subgraph_events import SubgraphStatus
from millstream.stream._transformers.lifecycle import (
    LifecyclePayload,
    LifecycleTransformer,
    SubgraphTransformer,
    _TasksLifecycleBase,
)
from millstream.stream._transformers.messages import MessagesTransformer
from millstream.stream._transformers.projections import (
    CheckpointsTransformer,
    CustomTransformer,
    DebugTransformer,
    TasksTransformer,
    UpdatesTransformer,
    ValuesTransformer,
)

__all__ = (
    "CheckpointsTransformer",
    "CustomTransformer",
    "DebugTransformer",
    "LifecyclePayload",
    "LifecycleTransformer",
    "MessagesTransformer",
    "SubgraphStatus",
    "SubgraphTransformer",
    "TasksTransformer",
    "UpdatesTransformer",
    "ValuesTransformer",
    "_TasksLifecycleBase",
)
