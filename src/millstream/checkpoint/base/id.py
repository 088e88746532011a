"""The ids of checkpoints."""

from langgraph.checkpoint.base.id import uuid6

__all__ = ("uuid6",)
