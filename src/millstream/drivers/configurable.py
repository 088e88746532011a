"""What `configurable` has of the engine, for packages that reach into it.

Some of LangGraph's own companions read and write state with these: ToolNode, the files of Deep
Agents. The shapes are LangGraph's. millstream itself needs none of them.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

from millstream.constants import (
    CONFIG_KEY_CALL,
    CONFIG_KEY_CHECKPOINTER,
    CONFIG_KEY_READ,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
)
from millstream.core.tasks import preview
from millstream.drivers.identity import identified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from millstream.core.protocol import Write
    from millstream.drivers.context import TaskContext
    from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy


def engine_keys(context: TaskContext) -> dict[str, Any]:
    """Return the functions and objects that a task's `configurable` has."""
    run = context.run
    scratchpad, writes = Scratchpad(context), context.task.writes
    keys: dict[str, Any] = {
        CONFIG_KEY_SEND: functools.partial(send, context) if run.spec.deltas else writes.extend,
        CONFIG_KEY_READ: functools.partial(
            read_state, scratchpad, run.spec.channels, run.spec.managed, context
        ),
        CONFIG_KEY_SCRATCHPAD: scratchpad,
        CONFIG_KEY_CALL: functools.partial(call_function, context),
    }
    if run.saver is not None:
        keys[CONFIG_KEY_CHECKPOINTER] = run.saver
    return keys


class Scratchpad:
    """What is counted while a task runs. The engine counts elsewhere, so these only look alike."""

    __slots__ = (
        "_context",
        "call_counter",
        "interrupt_counter",
        "subgraph_counter",
    )

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self.call_counter: Callable[[], int] = itertools.count().__next__
        self.interrupt_counter: Callable[[], int] = itertools.count().__next__
        self.subgraph_counter: Callable[[], int] = itertools.count().__next__

    @property
    def step(self) -> int:
        """The superstep that runs."""
        return self._context.task.step

    @property
    def stop(self) -> int:
        """The superstep at which the recursion limit ends the run."""
        return self._context.task.run.stop

    @property
    def resume(self) -> list[Any]:
        """The answers the task has, in the order of its questions."""
        return list(self._context.task.answers or ())

    def get_null_resume(self, consume: bool = False) -> None:
        """Return None: an answer without an id goes to its question by itself."""


def read_state(
    _scratchpad: Scratchpad,
    _channels: Mapping[str, Any],
    _managed: Mapping[str, Any],
    context: TaskContext,
    select: str | list[str],
    fresh: bool = False,
) -> Any:
    """Read the state from inside a task; `fresh` includes the task's own writes so far.

    One key gives its value, None without one; several give a dict of those that have one. Raises
    `KeyError` for a key the graph does not have. The first three parameters are there for packages
    that look at the partial in `configurable`.
    """
    values = preview(context.task.run, context.task.writes if fresh else ())
    spec = context.run.spec
    for key in (select,) if isinstance(select, str) else select:
        if key not in values and key not in spec.channels and key not in spec.managed:
            raise KeyError(key)
    if isinstance(select, str):
        return values.get(select)
    return {key: values[key] for key in select if key in values}


def send(context: TaskContext, writes: Sequence[Write]) -> None:
    """Add writes to those of the task."""
    context.task.writes.extend(identified(writes, context.run.spec.deltas))


def call_function(
    context: TaskContext,
    func: Callable[..., Any],
    input: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    retry_policy: Sequence[RetryPolicy] | None = None,
    cache_policy: CachePolicy[Any] | None = None,
    timeout: TimeoutPolicy | None = None,
    callbacks: Any = None,
) -> Any:
    """Call a function as a task of the run, with its arguments and keywords; return the future."""
    from millstream.drivers.calls import call_node

    node = call_node(
        func,
        getattr(func, "__name__", type(func).__name__),
        retry=tuple(retry_policy or ()),
        cache=cache_policy,
        timeout=timeout,
    )
    return context.run.call(context, node, input)
