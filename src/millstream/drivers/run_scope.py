"""What the code of a task may ask of what it runs in: a run, or an update of saved state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from millstream.constants import CONF, ENGINE_PREFIX
from millstream.drivers.metadata import PLACE_KEYS, as_text, user_metadata, with_texts
from millstream.modes.parts import split_ns
from millstream.runtime import _no_op_stream_writer
from millstream.saving.untracked import Untracked

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
    from langchain_core.runnables import RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream._base.clock import Clock, Stamps
    from millstream._base.run_trees import NodeRun
    from millstream.core.machine import RunMachine
    from millstream.core.protocol import RunLimits
    from millstream.core.spec import GraphSpec
    from millstream.core.tasks import Task
    from millstream.drivers.context import TaskContext
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.drivers.run_request import Replay, RunRequest
    from millstream.drivers.waits import Waits
    from millstream.modes.event_listener import EventListener
    from millstream.modes.message_tap import MessageTap
    from millstream.modes.parts import Emit, Namespace, Shape
    from millstream.modes.subscription import Subscription
    from millstream.modes.tool_tap import ToolTap
    from millstream.outbox.backpressure import BufferLimit
    from millstream.outbox.write_ahead import Promise, WriteAheadLog
    from millstream.runtime import RunControl
    from millstream.saving.recorder import Recorder
    from millstream.types import StreamWriter


class RunScope:
    """What tasks run in. A `Run` is one; so is what conditional edges are asked in by an update.

    It has slots, which are read faster than what stands on a class or in a request.
    """

    request: RunRequest
    spec: GraphSpec
    name: str
    shape: Shape
    limits: RunLimits
    control: RunControl
    subscription: Subscription
    result: Subscription
    config: dict[str, Any]
    configurable: dict[str, Any]
    saver: BaseCheckpointSaver[Any] | None
    cache: BaseCache[Any] | None
    step_timeout: float | None
    max_concurrency: int | None
    is_live: bool
    is_traced: bool
    heartbeats: Heartbeats | None
    parent: TaskContext | None
    ns: str
    named_checkpoints: Mapping[str, str]
    replay: Replay | None
    outer_limits: tuple[BufferLimit, ...]
    machine: RunMachine
    clock: Clock
    waits: Waits
    """How it waits."""
    call: Callable[..., Any]
    """Start what the code of a task calls, and return its future; the driver's."""
    listener: EventListener | None
    """Who makes events for a consumer: once the run has begun, None if others hear of it too."""
    callbacks: NodeRun | None
    """The graph's own run in LangChain's callbacks, None when nobody listens."""
    taps: tuple[MessageTap, ...]
    """The consumers of `messages` that hear this run."""
    ears: tuple[BaseCallbackHandler, ...]
    """What LangChain tells of models for the taps to hear it: they themselves, or one for all."""
    tool_taps: tuple[ToolTap, ...]
    """The consumers of `tools` that hear this run."""
    writer: StreamWriter
    emit_custom: Emit | None
    """Where custom items of this run go: to the nearest consumer that asked for them."""
    is_left: bool
    """The reader has gone before the run ended."""
    buffer_limit: BufferLimit | None
    """How many parts there may be before those who emit have to wait."""
    forwards: Sequence[tuple[Emit, frozenset[str]]]
    """Where nested runs send their parts besides their own consumers, and which modes."""
    resumed_step: int | None
    """The superstep that continues a saved run, None for a run that started anew."""
    recorder: Recorder | None
    ahead: WriteAheadLog | None
    """What is told before the run tells of something that it is going to store."""
    stamps: Stamps | None
    """Makes the ids of checkpoints, for nested runs too; None without a saver."""
    origin_id: str
    """The checkpoint that the run went on from."""
    saved_parent: RunnableConfig | None
    """The config of the checkpoint before the one that the run goes on from."""
    _user_metadata: dict[str, Any] | None
    """What the user said about the run, None until somebody asks."""
    _metadata: dict[str, Any] | None
    _enclosing: dict[str, str] | None
    _public: dict[str, Any] | None
    """The caller's `configurable` as checkpoints are named with, None until somebody asks."""
    __slots__ = tuple(__annotations__)

    def __init__(self, request: RunRequest, waits: Waits) -> None:
        # In one go: to unpack a slice costs less than eighteen attributes of a named tuple.
        self.request = request
        (
            self.spec,
            self.name,
            self.shape,
            self.limits,
            self.control,
            self.subscription,
            self.result,
            self.config,
            self.configurable,
            self._metadata,
            nesting,
            self.saver,
            self.cache,
            self.step_timeout,
            self.max_concurrency,
            self.is_live,
            self.is_traced,
            self.heartbeats,
        ) = request[:18]
        self.parent, self.ns, self.named_checkpoints, self.replay, self.outer_limits = nesting[:5]
        self.clock = request.clock
        self.waits = waits
        self.writer = _no_op_stream_writer
        self.taps = self.ears = self.tool_taps = self.forwards = ()
        self.listener = self.callbacks = self.emit_custom = self.buffer_limit = None
        self.recorder = self.ahead = self.stamps = self.saved_parent = self.resumed_step = None
        self._user_metadata = self._enclosing = self._public = None
        self.origin_id = ""
        self.is_left = False

    def abandon(self) -> None:
        """Take note that the reader has gone before the run ended."""
        self.is_left = True

    @property
    def is_abandoned(self) -> bool:
        """Say whether nobody waits for this run any more.

        So it is when the task that called it was cancelled, or a run further up was left early. A
        graph that a node started in the background may outlive the node.
        """
        parent = self.parent
        return parent is not None and (
            parent.is_cancelled or parent.run.is_left or parent.run.is_abandoned
        )

    def node_callbacks(self, step: int) -> BaseCallbackManager | None:
        """Return the callbacks for the tasks of a superstep."""
        if self.callbacks is None:
            return None
        manager: BaseCallbackManager = self.callbacks.get_child(f"graph:step:{step}")
        return manager

    @property
    def is_resuming_step(self) -> bool:
        """Say whether the current superstep was interrupted or failed before."""
        return self.resumed_step == self.machine.step

    @property
    def has_failed(self) -> bool:
        """Say whether a task has failed, and nothing took care of it."""
        machine: RunMachine | None = getattr(self, "machine", None)
        return machine is not None and machine.failure is not None

    @property
    def namespace(self) -> Namespace:
        """Where the run is nested, empty for a root run."""
        return split_ns(self.ns)

    @property
    def metadata(self) -> dict[str, Any]:
        """The caller's metadata."""
        if self._metadata is None:
            assert self.parent is not None, "the caller of a root run says which they are"
            self._metadata = self.parent.called_metadata()
        return self._metadata

    def user_metadata(self, task: Task) -> dict[str, Any]:
        """Return the metadata and tags that the user gave the run and the node of a task."""
        body, tags = task.node.body, self.config.get("tags") or ()
        # Few nodes have any; for the others all tasks of the run have the same.
        if body.metadata or body.tags:
            return user_metadata({**self.metadata, **(body.metadata or {})}, (*tags, *body.tags))
        if self._user_metadata is None:
            self._user_metadata = user_metadata(self.metadata, tags)
        # A copy, tags included: consumers get it, and may change what they get.
        metadata = self._user_metadata.copy()
        if "tags" in metadata:
            metadata["tags"] = metadata["tags"].copy()
        return metadata

    @property
    def checkpoint_map(self) -> dict[str, str]:
        """Namespace -> checkpoint id of the enclosing graphs."""
        if self._enclosing is None:
            self._enclosing = {} if self.parent is None else self.parent.checkpoint_map()
        return self._enclosing

    @property
    def thread_id(self) -> str | None:
        """The thread the run belongs to, None without a saver."""
        thread = self.configurable.get("thread_id")
        return None if thread is None else as_text(thread)

    def record_task(self, task: Task, promise: Promise | None = None) -> None:
        """Take note of what a task left behind, to be stored."""
        if self.recorder is not None:
            config = self.checkpoint_config(self.machine.checkpoint_id)
            self.recorder.add_task(task, config, promise)

    def untracked(self) -> Untracked | None:
        """Return what must not be stored of the run, None if there is nothing."""
        enclosing = None
        if self.parent is not None:
            around = self.parent.run
            recorder = around.recorder
            enclosing = around.untracked() if recorder is None else recorder.untracked
        names = self.spec.untracked
        return Untracked(names, self.machine.cells, enclosing) if names or enclosing else None

    @property
    def inner_limits(self) -> tuple[BufferLimit, ...]:
        """The buffer limits of runs that hear what a run called by a task of this one does."""
        if self.buffer_limit is not None and self.subscription.has_subgraphs:
            return (self.buffer_limit, *self.outer_limits)
        return self.outer_limits

    def checkpoint_config(self, checkpoint_id: str | None) -> dict[str, Any] | None:
        """Return the config that names a checkpoint of this run, or the one before it began."""
        if not checkpoint_id:
            return None
        before = None if self.saved_parent is None else self.saved_parent[CONF]
        if before is not None and before.get("checkpoint_id") == checkpoint_id:
            named = dict(before)  # what another run left, as the saver names it
        else:
            if self._public is None:
                self._public = self.public_configurable()
            named = {"checkpoint_ns": self.ns, **self._public}
        if self.checkpoint_map:
            named["checkpoint_map"] = self.checkpoint_map_at(checkpoint_id)
        named["checkpoint_id"] = checkpoint_id
        return {"configurable": named}

    def named_checkpoint(self, names: Mapping[str, str]) -> str | None:
        """Return the id of the checkpoint that the caller wants this run to go on from.

        For a nested run the caller's ids count in the superstep that goes on from one.
        """
        # Later supersteps have nothing to do with what was named.
        if self.parent is not None and not self.parent.run.is_resuming_step:
            return None
        return names.get(self.ns) or names.get(self.request.nesting.former_ns)

    def load_config(self, checkpoint_id: str | None = None) -> RunnableConfig:
        """Return the config that asks the saver for a checkpoint, for the newest by default."""
        named = self.saved_configurable()
        # The caller's may be of another namespace, and is asked for by its own name.
        named.pop("checkpoint_id", None)
        if checkpoint_id is not None:
            named["checkpoint_id"] = checkpoint_id
        return {"configurable": named}

    def former_config(self, checkpoint_id: str) -> RunnableConfig:
        """Return the config of a checkpoint that was made before the enclosing run's branch."""
        config = self.load_config(checkpoint_id)
        config["configurable"]["checkpoint_ns"] = self.request.nesting.former_ns
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
            "callbacks": self.request.callbacks,
            "metadata": self.metadata,
            "configurable": self.configurable,
        }
        return cast("RunnableConfig", config)
