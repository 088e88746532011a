"""Functions as runnables."""

from __future__ import annotations

from millstream.runnable import RunnableCallable, RunnableLike

__all__ = ("RunnableCallable", "RunnableLike")
