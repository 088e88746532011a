"""Threads nobody used before."""

from __future__ import annotations

import uuid
from typing import Any


def fresh_thread() -> Any:
    """Return a config that names a new thread."""
    return {"configurable": {"thread_id": str(uuid.uuid4())}}
