"""The compiled graph: everything about a graph that does not change between runs.

Built once by `pregel._structure.compiling`, shared by all runs, never mutated. What a superstep
needs is looked up here instead of being worked out again: which nodes a channel triggers, how a
node reads its input, which channels change by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from millstream.channels.base import BaseChannel
from millstream.channels.binop import BinaryOperatorAggregate, OptionalAggregate
from millstream.channels.delta import DeltaChannel
from millstream.channels.last_value import LastValue
from millstream.channels.untracked_value import UntrackedValue
from millstream.constants import PULL
from millstream.core.written import shorten

if TYPE_CHECKING:
    from millstream.core.protocol import TaskPath, Write
    from millstream.managed.base import Scratchpad


class Values(Protocol):
    """The state that nodes read."""

    @property
    def values(self) -> dict[str, Any]:
        """The shown channels that have a value, and their values: to be copied, not changed."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of any channel, or `default` when it has none."""


Read: TypeAlias = "Callable[[Values, Scratchpad], Any]"
"""Assemble the input of a node; managed values are computed from the scratchpad."""

T = TypeVar("T")
REDUCERS: Final = (BinaryOperatorAggregate, OptionalAggregate)
"""Channels that have a value and a new one after every write; classes derived from them may not."""


@dataclass(slots=True, eq=False)
class NodeSpec:
    """One node as the engine sees it."""

    name: str
    triggers: tuple[str, ...]
    """All channels the node listens to, sorted."""
    read: Read
    """Assemble the input of a triggered task; raises what the state schema raises."""
    body: Any = None
    """What a driver calls; opaque to the core."""
    consumes: tuple[str, ...] = ()
    """Triggers that forget their value when the node has run (barriers)."""
    handler: str | None = None
    """Name of the node that handles this node's failures."""
    is_hidden: bool = False
    """Hidden nodes produce no updates or tasks events."""
    has_subgraph: bool = False
    keys: frozenset[str] | None = None
    """Keys of a dict that may be kept as a task's `update`; see `written` for the next two too."""
    prepare: Callable[[Iterable[Write]], None] | None = None
    """What is done to the items of such a dict before it is kept."""
    edges: Sequence[Write] = ()
    """What the node writes after it, every time."""
    direct: frozenset[str] | None = field(init=False, default=None)
    """Those of `keys` whose values are committed without looking at channels."""
    lasting: frozenset[str] = field(init=False, default=frozenset())
    """Those, and the ones whose channels do no more than reduce what is written to them."""
    lit: Mapping[str, Any] = field(init=False)
    """The signals that are its edges, with what is written."""
    successors: Sequence[NodeSpec] | None = field(init=False, default=None)
    """The nodes that run after it when it wrote no more than `direct`, by name."""
    path: TaskPath = field(init=False)
    place: str = field(init=False)
    """What tells its triggered tasks from all others of the same superstep."""

    def __post_init__(self) -> None:
        self.lit = dict(self.edges)
        self.path = (PULL, self.name)
        self.place = "".join((self.name, PULL, *self.triggers))


@dataclass(slots=True, eq=False)
class GraphSpec:
    """A graph as the engine sees it."""

    nodes: Mapping[str, NodeSpec]
    channels: Mapping[str, BaseChannel[Any, Any, Any]]
    """Empty channels, copied when a run first touches them."""
    shown: Mapping[str, int]
    """Position of every channel whose value is kept in plain sight, in declaration order."""
    output_keys: str | tuple[str, ...]
    stream_keys: str | tuple[str, ...]
    managed: Mapping[str, Any] = field(default_factory=dict)
    """Values that are computed from the run."""
    signals: frozenset[str] = frozenset()
    """Channels that only trigger a node: nobody reads their value."""
    behind: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Channel that triggers a deferred node -> those of deferred nodes that go first."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names under which keys are written from outside -> the keys."""
    plain: frozenset[str] = field(init=False)
    """Shown channels that keep the last value written and do nothing else."""
    lasting: frozenset[str] = field(init=False)
    """The same, and those that reduce what is written and do nothing else."""
    order: Mapping[str, int] = field(init=False)
    """Position of every node, in the order in which they were added."""
    entry: NodeSpec | None = field(init=False, default=None)
    """The node that brings the input into the state, if it does no more than that and is alone."""
    triggered: Mapping[str, tuple[NodeSpec, ...]] = field(init=False)
    """Channel -> the nodes it triggers, sorted by name."""
    triggers: frozenset[str] = field(init=False)
    """The channels that trigger any node."""
    initial: tuple[str, ...] = field(init=False)
    """Channels that hold a value before anything was written."""
    deltas: Mapping[str, int] = field(init=False)
    """Channels stored as what was written -> updates after which the whole value is stored."""
    untracked: frozenset[str] = field(init=False)
    """Channels whose values are not stored, wherever they go."""
    finishing: tuple[str, ...] = field(init=False)
    """Channels that may change when no work is left."""
    has_consumers: bool = field(init=False)
    """Whether any trigger forgets its value when the node has run."""
    is_steady: bool = field(init=False)
    """Whether no channel does anything at the end of a superstep that did not write it, but for
    the signals."""
    has_fading_values: bool = field(init=False)
    """Whether a shown channel can lose its value without being written."""

    def __post_init__(self) -> None:
        # For `plan_unseen`: LangGraph runs tasks in this order after loading.
        self.order = {name: index for index, name in enumerate(self.nodes)}
        consuming = overriding(self.channels, "consume")
        self.has_consumers = False
        triggered: dict[str, list[NodeSpec]] = {}
        # Sorted once here, so that the nodes of a trigger need no sorting in any superstep.
        for name in sorted(self.nodes):
            node = self.nodes[name]
            for trigger in node.triggers:
                triggered.setdefault(trigger, []).append(node)
            if not consuming.isdisjoint(node.triggers):
                node.consumes = tuple(t for t in node.triggers if t in consuming)
                self.has_consumers = True
        self.plain = frozenset(
            n
            for n, c in self.channels.items()
            # Not a subclass, whose methods would not be called. Not one with a first value, which
            # would have to be put into every new state.
            if type(c) is LastValue and n in self.shown and not c.is_available()
        )
        self.lasting = self.plain.union(n for n in self.shown if type(self.channels[n]) in REDUCERS)
        self.triggered = {name: tuple(nodes) for name, nodes in triggered.items()}
        self.triggers = frozenset(triggered)
        deltas = of_class(self.channels, DeltaChannel)
        self.deltas = {name: channel.snapshot_frequency for name, channel in deltas.items()}
        self.untracked = frozenset(of_class(self.channels, UntrackedValue))
        self.initial = tuple(
            # A delta channel that is loaded starts as its empty value, unlike one that was never
            # touched.
            n
            for n, c in self.channels.items()
            if n in self.deltas or c.is_available()
        )
        finishing = overriding(self.channels, "finish")
        self.finishing = tuple(n for n in self.channels if n in finishing)
        self.is_steady = not (self.has_consumers or self.finishing or self.deltas)
        # After all that it asks for is there.
        shorten(self)
        self.has_fading_values = any(self.channels[name].is_transient for name in self.shown)


def overriding(channels: Mapping[str, BaseChannel[Any, Any, Any]], method: str) -> frozenset[str]:
    """Return the channels whose class does anything when `method` is called."""
    # Asked of the class: a call of a method that does nothing costs as much as one that does.
    plain = getattr(BaseChannel, method)
    return frozenset(_of_classes(channels, lambda cls: getattr(cls, method) is not plain))


def of_class(channels: Mapping[str, Any], base: type[T]) -> dict[str, T]:
    """Return the channels of a class, or of one derived from it."""
    return _of_classes(channels, lambda cls: issubclass(cls, base))


def _of_classes(channels: Mapping[str, Any], fits: Callable[[Any], bool]) -> dict[str, Any]:
    # Asked of each class once: there are many channels of few classes.
    fitting = set(filter(fits, set(map(type, channels.values()))))
    return {n: c for n, c in channels.items() if type(c) in fitting} if fitting else {}
