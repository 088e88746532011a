"""Functions as runnables."""

from __future__ import annotations

from millstream._base.runnable import RunnableCallable, RunnableLike

__all__ = ("RunnableCallable", "RunnableLike")
