"""What is known of a run before it starts: what its caller asks for, and where that puts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from millstream.constants import CONF, ENGINE_PREFIX
from millstream.drivers.context import split_ns
from millstream.drivers.metadata import PLACE_KEYS, as_text, called_metadata, with_texts

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from millstream._base.clock import Stamps
    from millstream.core.answers import Answers
    from millstream.core.machine import RunMachine
    from millstream.core.protocol import RunLimits, Write
    from millstream.core.spec import GraphSpec
    from millstream.drivers.context import TaskContext
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.drivers.loading import Replay
    from millstream.modes.parts import Encode, Namespace, Shape
    from millstream.modes.projectors import ReadState
    from millstream.outbox.backpressure import BufferLimit
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


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the consumer of a run wants to see; the same for all calls that ask alike."""

    modes: frozenset[str]
    """Modes to build, printed ones included."""
    encode: Encode
    output_keys: str | tuple[str, ...]
    watched: frozenset[str]
    """The output keys, as a set."""
    read: ReadState
    """Reads the output keys."""
    printed: frozenset[str] = frozenset()
    yielded: frozenset[str] = frozenset()
    has_subgraphs: bool = False
    is_result_wanted: bool = False
    """The final state is wanted, not a stream."""
    has_blocks: bool = False
    """Messages come as events of their content blocks."""


class RunOptions:
    """What the caller of one run and its graph say about it, and where that puts it.

    `pregel._running.opening` sets what is said. What most runs do without stands on the class: one
    is made for every call of a graph.
    """

    spec: GraphSpec
    name: str
    subscription: Subscription
    shape: Shape
    limits: RunLimits
    control: RunControl
    config: dict[str, Any]
    """The caller's config, without callbacks, metadata and configurable."""
    given_metadata: dict[str, Any] | None = None
    """The caller's metadata, None if they are those of the calling task."""
    configurable: dict[str, Any]
    input: Any = None
    start: Callable[[RunMachine, bool], RunStart]
    """Turn the caller's input into what the machine starts with, given whether a checkpoint was
    loaded."""
    context: Any = None
    store: BaseStore | None = None
    cache: BaseCache[Any] | None = None
    saver: BaseCheckpointSaver[Any] | None = None
    durability: str = "async"
    stamps: Stamps | None = None
    """Makes the ids of checkpoints, for nested runs too; None without a saver."""
    parent: TaskContext | None = None
    """The task that called this run's graph, None for a root run."""
    ns: str = ""
    place: str = ""
    """From where a strand of the calling task calls, empty for the task's own code."""
    new_number: int | None = None
    """The number of the call, if it is to be stored with the place."""
    saved_parent: RunnableConfig | None = None
    """The config of the checkpoint before the one that the run goes on from."""
    named_checkpoints: Mapping[str, str] = NONE_NAMED
    """Namespace -> the checkpoint id that the caller of the root run wants to go on from."""
    origin_id: str = ""
    """The checkpoint that the run went on from."""
    former_ns: str = ""
    """Where the run's past is, if the enclosing run has begun a branch: its tasks had other ids."""
    replay: Replay | None = None
    """Set while a root run goes on from a checkpoint that the caller named."""
    max_concurrency: int | None = None
    step_timeout: float | None = None
    is_live: bool = False
    """The consumer must be able to receive while nodes run."""
    inherited_callbacks: Any = None
    """The caller's LangChain callbacks."""
    is_traced: bool = False
    """Whether any callback handler may be listening."""
    heartbeats: Heartbeats | None = None
    """Who is told of signs of life of what the run is part of."""
    outer_limits: tuple[BufferLimit, ...] = ()
    """The bounds of enclosing runs that hear this one."""
    server_info: ServerInfo | None = None
    retry: Sequence[RetryPolicy] = ()
    """Retry policies of calls that have none of their own."""
    cache_policy: CachePolicy[Any] | None = None
    """Cache policy of calls that have none of their own."""
    user_metadata: dict[str, Any] | None = None
    """What the user said about the run, None until somebody asks."""
    enclosing: dict[str, str] | None = None
    """Namespace -> checkpoint id of the enclosing graphs, None until somebody asks."""

    @property
    def namespace(self) -> Namespace:
        """Where the run is nested, empty for a root run."""
        return split_ns(self.ns)

    @property
    def metadata(self) -> dict[str, Any]:
        """The caller's metadata."""
        if self.given_metadata is None:
            assert self.parent is not None, "the caller of a root run says which they are"
            self.given_metadata = called_metadata(self.parent)
        return self.given_metadata

    @property
    def checkpoint_map(self) -> dict[str, str]:
        """Namespace -> checkpoint id of the enclosing graphs."""
        if self.enclosing is None:
            self.enclosing = {} if self.parent is None else self.parent.checkpoint_map()
        return self.enclosing

    @property
    def thread_id(self) -> str | None:
        """The thread the run belongs to, None without a saver."""
        thread = self.configurable.get("thread_id")
        return None if thread is None else as_text(thread)

    def checkpoint_config(self, checkpoint_id: str | None) -> dict[str, Any] | None:
        """Return the config that names a checkpoint of this run, or the one before it began."""
        if not checkpoint_id:
            return None
        before = None if self.saved_parent is None else self.saved_parent[CONF]
        if before is not None and before.get("checkpoint_id") == checkpoint_id:
            named = dict(before)  # what another run left, as the saver names it
        else:
            named = {"checkpoint_ns": self.ns, **self.public_configurable()}
        if self.checkpoint_map:
            named["checkpoint_map"] = self.checkpoint_map_at(checkpoint_id)
        return {"configurable": {**named, "checkpoint_id": checkpoint_id}}

    def named_checkpoint(self) -> str | None:
        """Return the id of the checkpoint that the caller wants this run to go on from.

        For a nested run the caller's ids count in the superstep that goes on from one.
        """
        if self.parent is not None and not self.parent.run.is_resuming_step:
            return None
        return self.named_checkpoints.get(self.ns) or self.named_checkpoints.get(self.former_ns)

    def load_config(self, checkpoint_id: str | None = None) -> RunnableConfig:
        """Return the config that asks the saver for a checkpoint, for the newest by default."""
        named = self.saved_configurable()
        named.pop("checkpoint_id", None)
        if checkpoint_id is not None:
            named["checkpoint_id"] = checkpoint_id
        return {"configurable": named}

    def former_config(self, checkpoint_id: str) -> RunnableConfig:
        """Return the config of a checkpoint that the run is to go on from, wherever that is."""
        config = self.load_config(checkpoint_id)
        if self.ns not in self.named_checkpoints:
            config["configurable"]["checkpoint_ns"] = self.former_ns
        return config

    def saved_configurable(self) -> dict[str, Any]:
        """Return the `configurable` that says to a saver where the run stands."""
        return with_texts({**self.configurable, "checkpoint_ns": self.ns})

    def public_configurable(self) -> dict[str, Any]:
        """Return the caller's `configurable` without what says where a run stands."""
        public = {
            key: value
            for key, value in self.configurable.items()
            if not key.startswith(ENGINE_PREFIX) and key not in PLACE_KEYS
        }
        if "thread_id" in public:
            public["thread_id"] = as_text(public["thread_id"])
        return public

    def checkpoint_map_at(self, checkpoint_id: str) -> dict[str, str]:
        """Return the checkpoint ids of the enclosing graphs and of this one, by namespace."""
        return {**self.checkpoint_map, self.ns: checkpoint_id}

    def traced_config(self) -> RunnableConfig:
        """Return the config with which the graph's own callbacks are set up."""
        config = {
            **self.config,
            "callbacks": self.inherited_callbacks,
            "metadata": self.metadata,
            "configurable": self.configurable,
        }
        return cast("RunnableConfig", config)
