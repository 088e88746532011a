"""Hear of attempts that failed and are followed by others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from millstream.cli.live.activity import Path, path_of
from millstream.modes.parts import split_ns

RetryHeard: TypeAlias = "Callable[[Path, Any, str], None]"
"""Given the path of a node, the number of the attempt, and what it failed with."""


class _Ear(logging.Filter):
    def __init__(self, tell: RetryHeard, level: int) -> None:
        super().__init__()
        self._tell = tell
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass on what the engine says, and let through what would have been logged anyway."""
        ns = getattr(record, "checkpoint_ns", None)
        if ns is not None and isinstance(record.args, tuple):
            *_, attempt, kind, text = record.args
            *above, task = split_ns(ns)
            self._tell(path_of(above, task.partition(":")[0]), attempt, f"{kind} {text}".strip())
        return record.levelno >= self._level


@contextmanager
def heard(tell: RetryHeard) -> Iterator[None]:
    """Call `tell` for each attempt that fails and is followed by another, from its thread.

    No stream mode has them. The engine logs them, as INFO, which hardly any program has on.
    """
    # Not imported before it runs anyway.
    from millstream.drivers import nodecall

    logger, level = nodecall.logger, nodecall.logger.level
    ear = _Ear(tell, logger.getEffectiveLevel())
    logger.addFilter(ear)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeFilter(ear)
