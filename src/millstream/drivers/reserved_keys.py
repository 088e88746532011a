"""What `configurable` has of the engine, for packages that reach into it.

Some of LangGraph's own companions read and write state with these: ToolNode, the files of Deep
Agents. The shapes are LangGraph's. millstream itself needs none of them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.constants import (
    CONFIG_KEY_CALL,
    CONFIG_KEY_CHECKPOINTER,
    CONFIG_KEY_READ,
    CONFIG_KEY_READ_STATE,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    TASKS,
)
from millstream.core.tasks import preview
from millstream.drivers.call_nodes import call_node
from millstream.drivers.questions import answers_of
from millstream.drivers.routes import invalid_route
from millstream.saving.message_ids import with_message_ids
from millstream.types import Send

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from millstream.core.protocol import Write
    from millstream.drivers.context import TaskContext
    from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy


def reserved_keys(context: TaskContext) -> dict[str, Any]:
    """Return the functions and objects that a task's `configurable` has."""
    run = context.run
    # Asked for here, so that what is sent is added to the list that the task will have.
    scratchpad, writes = scratchpad_of(context), context.task.writes
    keys: dict[str, Any] = {
        CONFIG_KEY_SEND: functools.partial(send, context, writes),
        CONFIG_KEY_READ: functools.partial(
            read_state, scratchpad, run.spec.channels, run.spec.managed, context
        ),
        CONFIG_KEY_READ_STATE: None,
        CONFIG_KEY_SCRATCHPAD: scratchpad,
        CONFIG_KEY_CALL: functools.partial(call_function, context),
    }
    if not context.task.is_pull:
        # What was sent to the node is not the state it would get from an edge.
        machine = context.task.machine
        keys[CONFIG_KEY_READ_STATE] = functools.partial(
            context.task.node.read, machine.cells, machine
        )
    if run.saver is not None:
        keys[CONFIG_KEY_CHECKPOINTER] = run.saver
    return keys


class LazyAtomicCounter:
    """A counter that threads may share: a call returns how many there were before."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = itertools.count().__next__

    def __call__(self) -> int:
        """Return the next number, from 0."""
        return self._next()


def no_null_resume(consume: bool = False) -> None:
    """Return None: an answer without an id goes to its question by itself."""


@dataclass(kw_only=True, slots=True)
class PregelScratchpad:
    """What is counted while a task runs. The engine counts elsewhere, so these only look alike.

    `interrupt` counts with one that a program has put into a config of its own.
    """

    step: int
    """The superstep that runs."""
    stop: int
    """The superstep at which the recursion limit ends the run."""
    call_counter: Callable[[], int]
    interrupt_counter: Callable[[], int]
    get_null_resume: Callable[[bool], Any]
    resume: list[Any]
    """The answers the task has, by number of its questions: what is added is the answer to the
    next one."""
    subgraph_counter: Callable[[], int]


def scratchpad_of(context: TaskContext) -> PregelScratchpad:
    """Return the scratchpad of a task."""
    return PregelScratchpad(
        step=context.task.step,
        stop=context.task.machine.stop,
        call_counter=LazyAtomicCounter(),
        interrupt_counter=LazyAtomicCounter(),
        get_null_resume=no_null_resume,
        resume=answers_of(context),
        subgraph_counter=LazyAtomicCounter(),
    )


def read_state(
    _scratchpad: PregelScratchpad,
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
    values = preview(context.task.machine, context.task.writes if fresh else ())
    spec = context.run.spec
    for key in (select,) if isinstance(select, str) else select:
        if key not in values and key not in spec.channels and key not in spec.managed:
            raise KeyError(key)
    if isinstance(select, str):
        return values.get(select)
    return {key: values[key] for key in select if key in values}


def send(context: TaskContext, known: list[Write], writes: Sequence[Write]) -> None:
    """Add writes to those of the task; raise `InvalidRouteError` for what is sent to no node."""
    spec = context.run.spec
    writes = list(writes)
    for name, value in writes:
        # A Send to no node would be noticed in the next superstep, by nobody who knows where it is
        # from.
        if name == TASKS and isinstance(value, Send) and value.node not in spec.nodes:
            raise invalid_route(value, spec.nodes, context.task.name)
    known.extend(with_message_ids(writes, spec.deltas) if spec.deltas else writes)


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
    node = call_node(
        func,
        getattr(func, "__name__", type(func).__name__),
        retry=tuple(retry_policy or ()),
        cache=cache_policy,
        timeout=timeout,
    )
    return context.run.call(context, node, input)
