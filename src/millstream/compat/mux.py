"""`langgraph.stream._mux`: what runs transformers."""

from __future__ import annotations

from millstream.stream._events.mux import StreamMux
from millstream.stream._transformers.base import TransformerFactory

__all__ = ("StreamMux", "TransformerFactory")
