"""Nodes on a Ray cluster: the executor that programs make, which needs Ray only when it is made."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from millstream.drivers.executor import Executor
from millstream.executors.inline import InlineExecutor
from millstream.executors.messages import is_worker

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable
    from typing_extensions import Self

    from millstream.drivers.executor import Execution, TaskRequest
    from millstream.drivers.function_calls import FunctionCall

GRACE: Final = 5.0
"""Seconds that a node which is stopped has to end by itself."""
IDLE: Final = 10.0
"""Seconds for which a worker without a task keeps what it has of the cluster."""
_OWN: Final = ("num_cpus", "num_gpus", "resources", "max_concurrency", "concurrency_groups")
"""Options of Ray's actors that are arguments of the executor, or that its workers depend on."""


class RayExecutor(Executor):
    """Run nodes on a Ray cluster, in workers that are started when there is work for them.

    A worker is an actor of Ray's: it has the resources that are named here for as long as it lives,
    and does one task after the other. Use the executor as a context manager, or `close` it: its
    workers end with it. A program that has not called `ray.init` has the executor do so, and end
    with itself whatever that has started. `pip install 'millstream[ray]'`.

    Args:
        max_workers: How many workers there may be; as many as fit the cluster by default, as it is
            when the first one is started.
        num_cpus: Processors of each worker, or parts of one. With 0, Ray counts none.
        num_gpus: GPUs of each worker, or parts of one.
        resources: What else of the cluster's each worker takes, by name: `{"tpu": 1}`.
        options: Any other options of Ray's actors: `runtime_env`, `memory`, `scheduling_strategy`.
        address: The cluster to go to where the program has not called `ray.init`, for example
            `"auto"` or `"host:6379"`; the one that `RAY_ADDRESS` names by default, else one that
            runs on this machine, else a new one, as with `"local"`. The program has to run on a
            machine of the cluster: with Ray's client (`"ray://host:10001"`) no node can be heard.
        grace: Seconds that a node has to end by itself when its run is left or cancelled, before
            its worker is killed.
        idle: Seconds after which a worker without a task gives back what it has of the cluster.

    Raises:
        ImportError: Ray is not installed.
        ValueError: A number is out of its range, or `options` has what the executor decides; and
            when the cluster is reached, if that would be with Ray's client.

    Example:
        >>> from millstream.executors import RayExecutor
        >>> with RayExecutor(max_workers=2) as executor:  # doctest: +SKIP
        ...     graph = builder.compile(executor=executor)
        ...     graph.invoke({"sacks": 2})
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        options: Mapping[str, Any] | None = None,
        address: str | None = None,
        grace: float = GRACE,
        idle: float = IDLE,
    ) -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        if num_cpus < 0 or num_gpus < 0:
            raise ValueError(
                f"num_cpus and num_gpus must not be negative, got {num_cpus} and {num_gpus}"
            )
        for name, seconds in (("grace", grace), ("idle", idle)):
            if not 0 <= seconds <= threading.TIMEOUT_MAX:
                raise ValueError(f"{name} must be a number of seconds, not {seconds}")
        if refused := [name for name in _OWN if name in (options or {})]:
            raise ValueError(
                f"options must not have {', '.join(refused)}: num_cpus, num_gpus and resources are "
                "arguments of their own, and a worker does one task after the other"
            )
        try:
            from millstream.executors.ray_connection import Terms
            from millstream.executors.ray_pool import Pool
        except ImportError as error:
            raise ImportError("RayExecutor needs Ray: pip install 'millstream[ray]'") from error
        terms = Terms(
            max_workers=max_workers,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            resources=dict(resources or {}),
            options=dict(options or {}),
            address=address,
            grace=grace,
            idle=idle,
        )
        self._terms = terms
        self._pool = Pool(terms)
        self._finalizer = weakref.finalize(self, self._pool.leave)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no tasks any more."""
        return self._pool.is_closed

    def check(self, node: str, runnable: Runnable[Any, Any] | FunctionCall) -> None:
        """Raise `UnpicklableError` if a node cannot be sent to a worker."""
        self._pool.check(node, runnable)

    def submit(self, request: TaskRequest) -> Execution:
        """Start an attempt of a task, as soon as a worker is free."""
        if is_worker():
            # Of a graph that a node on the cluster calls: one that waits for others there might
            # have what they need.
            return InlineExecutor().submit(request)
        return self._pool.submit(request)

    def close(self) -> None:
        """Stop what is still running, and wait until all workers have ended."""
        self._pool.leave()
        self._pool.join()

    def __enter__(self) -> Self:
        """Use the executor for the length of a `with`; connects to Ray."""
        self._pool.connect()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __reduce__(self) -> Any:
        """Be another one on the same terms, where a graph is that has been sent somewhere."""
        return _again, (self._terms,)


def _again(terms: Any) -> RayExecutor:
    return RayExecutor(
        terms.max_workers,
        num_cpus=terms.num_cpus,
        num_gpus=terms.num_gpus,
        resources=terms.resources,
        options=terms.options,
        address=terms.address,
        grace=terms.grace,
        idle=terms.idle,
    )
