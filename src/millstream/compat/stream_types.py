"""`langgraph.stream._types`: what transformers are made of."""

from __future__ import annotations

from millstream.compat import pulling
from millstream.stream import ProtocolEvent, StreamTransformer

__all__ = ("ProtocolEvent", "StreamTransformer")

# Who imports this makes channels of its own: langgraph-prebuilt.
pulling.apply()
