"""The version of LangGraph whose API this is, as `langgraph.version`."""

from __future__ import annotations

from millstream.compat.names import VERSION

__all__ = ("__version__",)

__version__ = VERSION
