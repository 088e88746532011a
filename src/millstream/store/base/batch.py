"""A store that carries out operations in batches."""

from langgraph.store.base.batch import AsyncBatchedBaseStore

__all__ = ("AsyncBatchedBaseStore",)
