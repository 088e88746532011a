"""`langgraph.stream._mux`: what runs transformers."""

from __future__ import annotations

from millstream.stream.mux import StreamMux
from millstream.stream.transformer import TransformerFactory

__all__ = ("StreamMux", "TransformerFactory")
