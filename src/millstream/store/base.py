"""The interface of stores."""

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

__all__ = (
    "BaseStore",
    "GetOp",
    "Item",
    "ListNamespacesOp",
    "Op",
    "PutOp",
    "Result",
    "SearchItem",
    "SearchOp",
)
