"""What a run is asked for: all that its caller and its graph say, complete before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from millstream._base.clock import SYSTEM, Clock
from millstream.constants import NS_END, NS_SEP
from millstream.modes.parts import split_ns

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from millstream.core.answers import Answers
    from millstream.core.machine import RunMachine
    from millstream.core.protocol import RunLimits, Write
    from millstream.core.spec import GraphSpec
    from millstream.drivers.context import TaskContext
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.modes.event_listener import EventListener
    from millstream.modes.parts import Namespace, Shape
    from millstream.modes.subscription import Subscription
    from millstream.outbox.backpressure import BufferLimit
    from millstream.outbox.write_ahead import WriteAheadLog
    from millstream.recording.tape import Tape
    from millstream.runtime import RunControl, ServerInfo
    from millstream.types import CachePolicy, RetryPolicy

NONE_NAMED: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(slots=True)
class RunStart:
    """How a run starts, decided when its checkpoint (if any) is known."""

    writes: Sequence[Write]
    is_resuming: bool
    answers: Answers | None = None
    """What a person answered."""


@dataclass(slots=True)
class Replay:
    """A thread's past that is being run again, for the graphs nested in it."""

    checkpoint_id: str
    """Nested graphs see their state as it was before this checkpoint."""
    _visited: set[str] = field(default_factory=set)

    def visit(self, ns: str) -> bool:
        """Say whether the namespace is entered for the first time; task ids do not count."""
        name = NS_SEP.join(segment.split(NS_END, 1)[0] for segment in ns.split(NS_SEP))
        is_first = name not in self._visited
        self._visited.add(name)
        return is_first


class Nesting(NamedTuple):
    """Where a run is: in the task that calls it, or in none."""

    parent: TaskContext | None = None
    """The task that called this run's graph, None for a root run."""
    ns: str = ""
    named_checkpoints: Mapping[str, str] = NONE_NAMED
    """Namespace -> the checkpoint id that the caller of the root run wants to go on from."""
    replay: Replay | None = None
    """What of the thread's past is run again, if the root run goes on from a named checkpoint."""
    outer_limits: tuple[BufferLimit, ...] = ()
    """The buffer limits of enclosing runs that hear this one."""
    place: str = ""
    """From where a strand of the calling task calls, empty for the task's own code."""
    new_number: int | None = None
    """The number of the call, if it is to be stored with the place."""
    former_ns: str = ""
    """Where the run's past is, if the enclosing run has begun a branch: its tasks had other ids."""

    @property
    def namespace(self) -> Namespace:
        """The same as a tuple, empty for a root run."""
        return split_ns(self.ns)


ROOT: Final = Nesting()


class RunRequest(NamedTuple):
    """What the caller of one run and its graph say about it, and where that puts it.

    One is made for every call of a graph, by position: a frozen dataclass costs ten times as much,
    and names twice. Whoever opens a run in a way of its own replaces what it wants otherwise. The
    fields before `input` are read more than once in a superstep: `RunScope` takes them over.
    """

    spec: GraphSpec
    name: str
    shape: Shape
    limits: RunLimits
    control: RunControl
    subscription: Subscription
    """What the consumer sees."""
    result: Subscription
    """How the final state is read, by whoever wants that."""
    config: dict[str, Any]
    """The caller's config, without callbacks, metadata and configurable."""
    configurable: dict[str, Any]
    metadata: dict[str, Any] | None
    """The caller's metadata, None if they are those of the calling task."""
    nesting: Nesting = ROOT
    saver: BaseCheckpointSaver[Any] | None = None
    cache: BaseCache[Any] | None = None
    step_timeout: float | None = None
    max_concurrency: int | None = None
    is_live: bool = False
    """The consumer must be able to receive while nodes run."""
    is_traced: bool = False
    """Whether any callback handler may be listening."""
    heartbeats: Heartbeats | None = None
    """Who is told of signs of life of what the run is part of."""
    input: Any = None
    start: Callable[[RunMachine, bool], RunStart] | None = None
    """Turn the caller's input into what the machine starts with, given whether a checkpoint was
    loaded; None if it never starts."""
    context: Any = None
    store: BaseStore | None = None
    server_info: ServerInfo | None = None
    durability: str = "async"
    retry: Sequence[RetryPolicy] = ()
    """Retry policies of calls that have none of their own."""
    cache_policy: CachePolicy[Any] | None = None
    """Cache policy of calls that have none of their own."""
    max_buffered: int | None = None
    """How many parts there may be before those who emit have to wait."""
    callbacks: Any = None
    """The caller's LangChain callbacks."""
    listener: EventListener | None = None
    """Who among the callbacks makes events for the consumer."""
    clock: Clock = SYSTEM
    """Where the run has the time from, and what it draws at random."""
    ahead: WriteAheadLog | None = None
    """What gets all that the root run tells, and is told what it and nested ones store."""
    recording: Tape | None = None
    """What keeps all that the run and nested ones tell, whatever the consumer sees."""
