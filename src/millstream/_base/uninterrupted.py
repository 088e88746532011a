"""Work that Ctrl-C does not cut short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, TypeAlias

from millstream._base.clock import SYSTEM

Handler: TypeAlias = "Callable[[int, FrameType | None], Any]"

PATIENCE: Final = 5.0
"""Seconds after which a signal cuts the work short after all: a node may hang."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Holding:
    """Calls the program's own handler at once, and keeps what that raises."""

    __slots__ = ("_end", "error", "handler")

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._end = SYSTEM.monotonic() + PATIENCE
        self.error: BaseException | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except BaseException as error:
            if SYSTEM.monotonic() > self._end:
                raise
            self.error = error


def uninterrupted(work: Callable[[], object]) -> None:
    """Do the work; raise what handlers of signals raised meanwhile when it is done.

    Python calls them in the main thread only, between any two instructions.
    """
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    holding: dict[signal.Signals, _Holding] = {}
    try:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, _Holding):
                holding[number] = _Holding(handler)
                signal.signal(number, holding[number])
        work()
    finally:
        # Ctrl-C last: what it raises must not keep another from being restored.
        for number, held in reversed(holding.items()):
            before = held.handler
            if signal.getsignal(number) is held:  # the work may have set another
                signal.signal(number, before)
        for held in holding.values():
            if held.error is not None:
                raise held.error
