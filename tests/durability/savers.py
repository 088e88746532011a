"""Savers that keep nothing: what is left of a checkpoint is what the run holds back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from millstream.checkpoint.base import BaseCheckpointSaver


class ForgetfulSaver(BaseCheckpointSaver[int]):
    """Calls `store` with the number of each operation before it counts as stored."""

    def __init__(self, lag: float, store: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.lag = lag
        self.begun = 0
        self.stored = 0
        self._store = store

    def get_tuple(self, config: Any) -> None:
        """Know nothing."""

    async def aget_tuple(self, config: Any) -> None:
        """Know nothing."""

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Take a while."""
        self._carry_out()
        return config

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Take a while."""
        self._carry_out()

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Take a while."""
        await self._acarry_out()
        return config

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        """Take a while."""
        await self._acarry_out()

    def _carry_out(self) -> None:
        number = self.begun
        self.begun += 1
        time.sleep(self.lag)
        if self._store is not None:
            self._store(number)
        self.stored += 1

    async def _acarry_out(self) -> None:
        number = self.begun
        self.begun += 1
        await asyncio.sleep(self.lag)
        if self._store is not None:
            await asyncio.to_thread(self._store, number)
        self.stored += 1
