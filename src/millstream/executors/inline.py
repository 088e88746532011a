"""Nodes run where their run is: what happens without an executor."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, ClassVar

from millstream.drivers.executor import Execution, Executor
from millstream.executors.line import Line
from millstream.executors.node_run import perform

if TYPE_CHECKING:
    from millstream.drivers.executor import TaskRequest


class InlineExecutor(Executor):
    """Run nodes where the driver is: in the reader's thread, in worker threads, in the event loop.

    So nodes run without any executor. Give it to a node whose graph has another one. An executor of
    your own may submit to it, and then each task has a thread.
    """

    is_inline: ClassVar[bool] = True

    def submit(self, request: TaskRequest) -> Execution:
        """Start an attempt of a task in a thread of its own."""
        line = Line()
        execution = Execution(line.stop, line.reply)
        line.send = execution.put

        def work() -> None:
            execution.put(perform(request, line))
            # Threads that the node has left behind are not answered any more.
            line.end()

        # A node that runs without an executor sees the context variables of the program too.
        run, name = copy_context().run, f"millstream-{request.node}"
        threading.Thread(target=run, args=(work,), name=name, daemon=True).start()
        return execution
