"""State cells: what a graph keeps between supersteps, one channel per key.

Channels are pure: they know values and writes, never tasks, time or storage. Read `base` first.
"""

from __future__ import annotations

from millstream.channels.any_value import AnyValue
from millstream.channels.base import BaseChannel
from millstream.channels.binop import BinaryOperatorAggregate
from millstream.channels.delta import DeltaChannel
from millstream.channels.ephemeral_value import EphemeralValue
from millstream.channels.last_value import LastValue, LastValueAfterFinish
from millstream.channels.named_barrier_value import (
    NamedBarrierValue,
    NamedBarrierValueAfterFinish,
)
from millstream.channels.topic import Topic
from millstream.channels.untracked_value import UntrackedValue

__all__ = (
    "AnyValue",
    "BaseChannel",
    "BinaryOperatorAggregate",
    "DeltaChannel",
    "EphemeralValue",
    "LastValue",
    "LastValueAfterFinish",
    "NamedBarrierValue",
    "NamedBarrierValueAfterFinish",
    "Topic",
    "UntrackedValue",
)
