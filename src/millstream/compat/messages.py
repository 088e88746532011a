"""`langgraph.pregel._messages`: what hears the models of a run."""

from __future__ import annotations

from millstream.modes.message_tap import MessageTap as StreamMessagesHandler

__all__ = ("StreamMessagesHandler", "StreamMessagesHandlerV2")

StreamMessagesHandlerV2 = StreamMessagesHandler
