"""The built-in transformers, one per projection of a run stream."""

from __future__ import annotations

from millstream.stream.chat import MessagesTransformer
from millstream.stream.graphs import SubgraphStatus
from millstream.stream.lifecycle import (
    LifecyclePayload,
    LifecycleTransformer,
    SubgraphTransformer,
    _TasksLifecycleBase,
)
from millstream.stream.projections import (
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
