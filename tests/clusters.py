"""A Ray cluster of this machine's own, for tests and what measures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OBJECT_STORE: Final = 80_000_000
"""Bytes; Ray takes no less."""


@contextmanager
def cluster(processors: int = 2) -> Iterator[None]:
    """Start a small cluster, and end it afterwards."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=processors,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        yield
    finally:
        ray.shutdown()
