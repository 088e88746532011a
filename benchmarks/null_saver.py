"""A saver that keeps nothing: what is left is what the run itself costs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver


class NullSaver(BaseCheckpointSaver[int]):
    """Keeps nothing: what a run with it costs is the run's own cost.

    With a lag it takes so many seconds to store a checkpoint.
    """

    def __init__(self, lag: float = 0.0) -> None:
        super().__init__()
        self._lag = lag

    def get_tuple(self, config: Any) -> None:
        """Know nothing."""

    async def aget_tuple(self, config: Any) -> None:
        """Know nothing."""

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Wait, and return the config of the checkpoint."""
        if self._lag:
            time.sleep(self._lag)
        return _config_of(config, checkpoint)

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Wait, and return the config of the checkpoint."""
        if self._lag:
            await asyncio.sleep(self._lag)
        return _config_of(config, checkpoint)

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Do nothing."""

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        """Do nothing."""


def _config_of(config: Any, checkpoint: Any) -> Any:
    configurable = {**config["configurable"], "checkpoint_id": checkpoint["id"]}
    return {"configurable": configurable}
