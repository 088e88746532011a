"""Where nodes of the server's graphs run that do not say so themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millstream.constants import START
from millstream.pregel import Pregel
from millstream.pregel.protocol import PregelProtocol
from millstream.server.graph_files import import_configured

if TYPE_CHECKING:
    from millstream.drivers.executor import Executor
    from millstream.server.config import ServerConfig


def load_executor(config: ServerConfig) -> Executor | None:
    """Return the executor that the configuration names, if it names one."""
    if config.executor is None:
        return None
    from millstream.executors import Executor

    target, called = config.executor.path, "millstream.executors.Executor"
    # An abstract class is as good as any here: nothing is made of it.
    found: Executor = import_configured(
        config,
        "executor.path",
        target,
        Executor,  # type: ignore[type-abstract]
        called,
    )
    return found


def close_executor(executor: Any) -> None:
    """End the workers of an executor, if it has such."""
    close = getattr(executor, "close", None)
    if close is not None:
        close()


def run_on(graph: Any, executor: Executor) -> Any:
    """Return a graph whose nodes run on an executor, but for those that say where they run.

    As with `compile(executor=...)`: nested graphs run here, and their nodes where they say. Raises
    `UnpicklableError` for a node that cannot be sent there.
    """
    if not isinstance(graph, Pregel):
        return graph
    nodes = {
        name: node
        if name == START or node.executor is not None or isinstance(node.bound, PregelProtocol)
        else node.copy({"executor": executor})
        for name, node in graph.nodes.items()
    }
    return graph.copy({"nodes": nodes}).validate()
