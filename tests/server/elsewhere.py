"""An executor for servers in tests."""

from __future__ import annotations

from millstream.executors import Execution, Executor, InlineExecutor, TaskRequest


class Noting(Executor):
    """Has each task run in a thread of its own, and notes which."""

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.has_ended = False
        self._inner = InlineExecutor()

    def submit(self, request: TaskRequest) -> Execution:
        """Start a thread."""
        self.nodes.append(request.node)
        return self._inner.submit(request)

    def close(self) -> None:
        """Note that nobody needs it any more."""
        self.has_ended = True


executor = Noting()
