"""Nodes on a Ray cluster of this machine with two workers, and what Ray takes for the same.

Run by the Python of `build/ray`, which has millstream and Ray; the cluster ends with the process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import ray

from benchmarks.cluster import Bare, connect, graph_of, step, wait, work, write
from benchmarks.engines.serving import serve
from millstream.executors import RayExecutor

TASKS: Final = 8
WORKERS: Final = 2


def call(size: int) -> Callable[[], None]:
    """Run a graph of one node that does nothing."""
    graph = graph_of(step, EXECUTOR)

    def run() -> None:
        assert graph.invoke({"n": size}) == {"n": size + 1, "results": []}

    return run


def first(size: int) -> Callable[[], None]:
    """Have a bare actor say one thing."""
    stream = bare()

    def run() -> None:
        assert len(ray.get(next(stream(size, 1)))) == 1

    return run


def events(size: int) -> Callable[[], None]:
    """Read so many items of a node's writer."""
    graph = graph_of(write, EXECUTOR)

    def run() -> None:
        seen = sum(1 for _ in graph.stream({"n": size}, stream_mode="custom"))
        assert seen == size, f"{seen} items instead of {size}"

    return run


def batches(size: int) -> Callable[[], None]:
    """Read so many numbers of a bare actor, in batches of 64."""
    stream = bare()

    def run() -> None:
        seen = sum(len(ray.get(batch)) for batch in stream(size, 64))
        assert seen == size, f"{seen} numbers instead of {size}"

    return run


def leave(size: int) -> Callable[[], Awaitable[None]]:
    """Leave a run at the first item of an async node that would wait."""
    graph = graph_of(wait, EXECUTOR)

    async def run() -> None:
        stream = graph.astream({"n": size}, stream_mode="custom")
        assert await anext(stream) == "waits"
        await stream.aclose()

    return run


def compute(size: int) -> Callable[[], None]:
    """Run eight nodes that compute, side by side."""
    return computing(size, EXECUTOR)


def compute_here(size: int) -> Callable[[], None]:
    """Run the same nodes in this process."""
    return computing(size, None)


def computing(size: int, executor: RayExecutor | None) -> Callable[[], None]:
    """Return a call that runs eight nodes on an executor."""
    graph = graph_of(work, executor, TASKS)

    def run() -> None:
        done = len(graph.invoke({"n": size})["results"])
        assert done == TASKS, f"{done} results instead of {TASKS}"

    return run


def bare() -> Any:
    """Return what has an actor without nodes say things."""
    actor: Any = ray.remote(num_cpus=0, max_concurrency=2)(Bare).remote()
    return actor.stream.options(num_returns="streaming").remote


if __name__ == "__main__":
    connect(WORKERS)
    EXECUTOR: Final = RayExecutor(WORKERS, idle=600.0)
    serve({f.__name__: f for f in (call, first, events, batches, leave, compute, compute_here)})
