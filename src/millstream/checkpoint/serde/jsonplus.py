"""The serializer that savers use unless told otherwise."""

from langgraph.checkpoint.serde.jsonplus import (
    InvalidModuleError,
    JsonPlusSerializer,
)

__all__ = (
    "InvalidModuleError",
    "JsonPlusSerializer",
)
