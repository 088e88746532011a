"""A serializer that encrypts."""

from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

__all__ = ("EncryptedSerializer",)
