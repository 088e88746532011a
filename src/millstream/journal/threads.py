"""Where event loops have it waited for what a storage does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class Threads:
    """Threads of an executor, or those of the event loop that asks.

    A loop's own are few, and its sync nodes have them too: where all of these wait for something
    that has to be stored first, nothing goes on.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor
        self._pid = os.getpid()

    def call(self, function: Callable[..., ResultT], *args: Any) -> asyncio.Future[ResultT]:
        """Have a function called in one of them."""
        # A process that was forked has an executor without threads.
        executor = self._executor if self._pid == os.getpid() else None
        return asyncio.get_running_loop().run_in_executor(executor, function, *args)
