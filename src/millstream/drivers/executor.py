"""Where the code of a node runs: what is asked of an executor, and what it says.

A driver asks for one attempt of a task with a `TaskRequest`. The executor gives it an `Execution`:
the events of the task in order, and at last a `TaskOutcome`. All else in the life of a task
(`task_execution`) stays with the run: caches, retries, timeouts, what the result writes, edges.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig

    from millstream.core.protocol import TaskPath
    from millstream.drivers.function_calls import FunctionCall
    from millstream.errors import NodeError
    from millstream.runtime import ServerInfo


@dataclass(frozen=True, slots=True)
class Ear:
    """A consumer of the run that wants to hear models, or tools."""

    has_subgraphs: bool
    has_blocks: bool = False
    """Messages come as events of their content blocks."""


@dataclass(frozen=True, slots=True)
class SavedScope:
    """What graphs that a node calls have to know of its run, which is saved."""

    durability: str
    is_resuming: bool
    """The superstep was interrupted or failed before."""
    highest_id: str
    """No checkpoint that has been seen has a higher one."""
    lineage_id: str
    """The checkpoint that the superstep started from."""
    origin_id: str
    """The checkpoint that the run went on from."""
    former_ns: str
    parent_config: RunnableConfig | None
    """The config of the checkpoint before `origin_id`."""
    named_checkpoints: Mapping[str, str]
    """Namespace -> the checkpoint that the caller wants to go on from."""
    replayed_id: str | None
    """The checkpoint of the past that the run goes on from, if it does."""
    has_answers: bool
    answered_ids: frozenset[str] | None
    """The questions that were answered by their ids; None for one bare value."""
    answered_question: str | None
    """The question that the bare value is for, if it is for one."""
    has_log_ahead: bool = False
    """The run has a write-ahead log."""


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One attempt of a task: all that its node is given. Picklable where that is."""

    node: str
    runnable: Runnable[Any, Any] | FunctionCall
    """What the node runs; the function of a `@task`, whose input is `(args, kwargs)`."""
    input: Any
    is_async: bool
    """It is to be awaited."""
    has_async_calls: bool
    """The node may call async tasks: the run is async."""
    task_id: str
    ns: str
    """The task's namespace: that of its graph, with the task as its last segment."""
    path: TaskPath
    triggers: tuple[str, ...]
    step: int
    checkpoint_id: str
    checkpoint_map: Mapping[str, str]
    attempt: int
    first_attempt_time: float | None
    graph: str
    """The name of the graph."""
    graph_ns: str
    """The graph's namespace, empty for the outermost; for handlers of failures it is not the one
    around the task's."""
    config: Mapping[str, Any]
    """The run's config, without callbacks, metadata and configurable."""
    configurable: Mapping[str, Any]
    metadata: Mapping[str, Any]
    """The task's metadata."""
    tags: Sequence[str]
    context: Any
    """The run's static context."""
    previous: Any
    error: NodeError | None
    """The failure that the node handles."""
    server_info: ServerInfo | None
    recursion_limit: int
    drain_reason: str | None
    """Why the run was asked to stop, None if it was not."""
    store: Mapping[str, Any] | None
    """Attributes of the run's store, None if it has none."""
    saved: SavedScope | None
    """None for a run without a saver."""
    has_custom: bool
    """Somebody reads what is given to the writer."""
    messages: Sequence[Ear]
    tools: Sequence[Ear]
    nested: Sequence[frozenset[str]]
    """The stream modes of each consumer that wants to see the graphs that the node calls."""
    is_watched: bool
    """Signs of life are waited for."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How an attempt ended: with a result, an error, or questions.

    The result is what the node returned: what it writes depends on the graph, and is worked out
    where that is.
    """

    result: Any = None
    error: BaseException | None = None
    """What the node raised. Not all of it is a failure: `ParentCommand` carries a command for a
    graph around this one, `GraphBubbleUp` and its kind end a run early, and `RunAbandoned` or a
    cancellation say that the attempt was stopped, also by its timeout."""
    questions: tuple[Any, ...] = ()
    """What the node asked and nobody has answered yet."""


class TaskEvent:
    """Something that a task does while it runs, to be carried out where its run is.

    An executor carries it from the one place to the other; what it is about is the driver's affair.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A `TaskEvent` on its way."""

    event: TaskEvent
    number: int | None = None
    """What the reply is to have that the task waits for; None if it does not wait."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a `TaskEvent` for which its task waits."""

    number: int
    value: Any = None
    error: BaseException | None = None


Item: TypeAlias = Delivery | TaskOutcome


class Execution:
    """A task that an executor has taken on. Usable from any thread.

    The executor puts what comes from the task, from whatever thread. One driver takes it, item by
    item until the outcome, in the thread or event loop of its run; it waits without polling, by
    `when_ready`. It may stop the task, once: then the outcome has to come all the same, and soon,
    and is all that is still looked at. Whoever has to tell the time for a task asks
    `_base.clock.current()`, as its run does.
    """

    def __init__(self, stop: Callable[[], None], reply: Callable[[Reply], None]) -> None:
        self.stop = stop
        """Have the task stopped: what it emits raises, what it awaits is cancelled."""
        self.reply = reply
        """Tell the task what came of an event."""
        self._items: deque[Item] = deque()
        self._wake: Callable[[], None] | None = None
        self._lock = Lock()

    def put(self, item: Item) -> None:
        """Add what comes from the task; an outcome is the last."""
        self.put_all((item,))

    def put_all(self, items: Sequence[Item]) -> None:
        """Add what comes from the task together."""
        if not items:
            return
        with self._lock:
            self._items.extend(items)
            # Taken away with the item, under the lock: who waits is woken once.
            wake, self._wake = self._wake, None
        if wake is not None:
            # Outside of the lock: it may call the event loop, which may look for the next item.
            wake()

    def poll(self) -> Item | None:
        """Take the next item, None if there is none yet."""
        return self._items.popleft() if self._items else None

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Call a function, in any thread, as soon as there is an item."""
        with self._lock:
            if not self._items:
                self._wake = wake
                return
        wake()


class Executor(ABC):
    """Runs nodes: where, and how many at once, is its own affair.

    Given to `add_node(..., executor=...)` for one node, or to `compile(executor=...)` for all.
    """

    is_inline: ClassVar[bool] = False
    """Nodes run where the driver is, which needs no executor at all."""

    def check(self, node: str, runnable: Runnable[Any, Any] | FunctionCall) -> None:
        """Raise if a node cannot run here, as far as that can be known beforehand."""
        return

    @abstractmethod
    def submit(self, request: TaskRequest) -> Execution:
        """Start an attempt of a task; must not wait for it."""
