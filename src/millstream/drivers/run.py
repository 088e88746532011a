"""One run of one graph: what its tasks share, and the decisions both drivers leave to it.

A driver asks a `Run` what to do with everything except waiting: how to start, what a finished task
means, what to hand to the consumer, how to end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from millstream.constants import CONFIG_KEY_STRICT_RESUME, NS_END
from millstream.core.known import Place
from millstream.core.machine import RunMachine
from millstream.core.protocol import RunLimits
from millstream.core.state import ENDED, RunStatus
from millstream.drivers import delta
from millstream.drivers.buffering import Bound
from millstream.drivers.clock import new_id, now
from millstream.drivers.context import TaskContext
from millstream.drivers.hearing import taps_of, tool_taps_of
from millstream.drivers.loading import Replay, before_branch, open_journal
from millstream.drivers.metadata import PLACE_KEYS, user_metadata
from millstream.drivers.nesting import TellEnd, tell_started
from millstream.drivers.outlet import Outlet
from millstream.drivers.terms import Start, View
from millstream.errors import (
    ErrorCode,
    GraphDrained,
    GraphInterrupt,
    GraphRecursionError,
    create_error_message,
)
from millstream.runtime import RunControl, ServerInfo, _no_op_stream_writer
from millstream.stream.graphs import MODE_OF_GRAPHS
from millstream.stream.modes import Projection, observe, state_reader
from millstream.stream.parts import Namespace, Part, Put, Shape, format_part

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        BaseCallbackManager,
        CallbackManagerForChainRun,
    )
    from langchain_core.runnables import RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from millstream.core.spec import GraphSpec, NodeSpec
    from millstream.core.tasks import Task
    from millstream.drivers.loading import Loaded
    from millstream.drivers.persistence import Journal
    from millstream.stream.events import EventListener
    from millstream.stream.messages import MessageTap
    from millstream.stream.tools import ToolTap
    from millstream.types import CachePolicy, RetryPolicy, StreamWriter


@dataclass(slots=True, eq=False)
class Run:
    """One run of one graph."""

    spec: GraphSpec
    name: str
    shape: Shape
    view: View
    limits: RunLimits
    config: dict[str, Any]
    """The caller's config, without callbacks, metadata and configurable."""
    metadata: dict[str, Any]
    configurable: dict[str, Any]
    start: Callable[[RunMachine, bool], Start]
    """Turn the caller's input into what the machine starts with, given whether a checkpoint
    was loaded."""
    input: Any = None
    context: Any = None
    store: BaseStore | None = None
    cache: BaseCache[Any] | None = None
    saver: BaseCheckpointSaver[Any] | None = None
    durability: str = "async"
    control: RunControl | None = None
    parent: TaskContext | None = None
    namespace: Namespace = ()
    ns: str = ""
    checkpoint_map: dict[str, str] = field(default_factory=dict)
    """Namespace -> checkpoint id of the enclosing graphs."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Namespace -> the checkpoint id that the caller of the root run wants to go on from."""
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
    listener: EventListener | None = None
    """Who makes events for the consumer, or for that of a run around this one. Once the run has
    started it is told directly, and None if anybody else listens too."""
    is_async: bool = False
    """Driven by an event loop."""
    is_result_wanted: bool = False
    """The caller wants the final state, not a stream."""
    server_info: ServerInfo | None = None

    parts: deque[Part] = field(default_factory=deque)
    """Parts the consumer has not taken yet."""
    max_buffered: int | None = None
    """How many of them there may be before those who emit have to wait."""
    bound: Bound | None = field(init=False, default=None)
    feeds: tuple[Bound, ...] = ()
    """The bounds of enclosing runs that hear this one."""
    put: Put = field(init=False)
    """Where this run's parts go; a driver may put a wake-up around it."""
    outlet: Outlet = field(init=False)
    """Takes what code of tasks emits, until the consumer has gone."""
    pour: Put = field(init=False)
    """Where code of tasks emits: the outlet, a wake-up around it, a bound before that."""
    forwards: list[tuple[Put, frozenset[str]]] = field(default_factory=list)
    """Where nested runs send their parts besides their own consumers, and which modes."""
    taps: tuple[MessageTap, ...] = ()
    """The consumers of `messages` that hear this run."""
    tool_taps: tuple[ToolTap, ...] = ()
    """The consumers of `tools` that hear this run."""
    custom_put: Put | None = None
    """Where custom items of this run go: to the nearest consumer that asked for them."""
    retry: Sequence[RetryPolicy] = ()
    """Retry policies of calls that have none of their own."""
    cache_policy: CachePolicy[Any] | None = None
    """Cache policy of calls that have none of their own."""
    call: Callable[[TaskContext, NodeSpec, Any], Any] = field(init=False)
    """Start what the code of a task calls, and return its future; the driver's."""
    writer: StreamWriter = field(init=False)
    machine: RunMachine = field(init=False)
    journal: Journal | None = None
    callbacks: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun | None = None
    """The graph's own run in LangChain's callbacks, None when nobody listens."""
    is_left: bool = False
    """The reader has gone before the run ended."""
    has_values: bool = False
    """Whether the state was ever shown: a run that wrote nothing has no result."""
    last_values: Any = None
    tell_end: TellEnd | None = None
    """Tell who looks at nested graphs that this one has ended, and how."""
    resumed_step: int | None = None
    """The superstep that continues a saved run, None for a run that started anew."""
    _read: Callable[[], Any] = field(init=False)

    def __post_init__(self) -> None:
        self.put = self.parts.append
        self.outlet = Outlet(self.put, self.name)
        self.pour = self.outlet.put
        if self.max_buffered is not None:
            self.bound = Bound(self.max_buffered, self.parts)

    def enter(self, loaded: Loaded) -> None:
        """Build the machine, from the saved checkpoint if there is one, and give it its input."""
        saved = loaded.saved
        machine = self.machine = RunMachine(
            self.spec,
            None,  # type: ignore[arg-type]  # set below, it needs the machine
            self.limits,
            new_id=new_id,
            ns=self.ns,
            lineage=open_journal(self, loaded) if self.saver is not None else None,
            saved_values=saved.checkpoint["channel_values"] if saved is not None else None,
            known_writes=(saved.pending_writes or ()) if saved is not None else (),
            answers=self.parent.run.machine.answers if self.parent is not None else None,
        )
        self._observe(machine)
        # A checkpoint without versions is that of a thread that has not begun.
        is_known = saved is not None and bool(saved.checkpoint["channel_versions"])
        start = self.start(machine, is_known)
        if start.is_resuming:
            self._resume(start, loaded)
        else:
            machine.begin(start.writes)

    def _resume(self, start: Start, loaded: Loaded) -> None:
        """Continue the saved run, and keep what its input wrote with the checkpoint."""
        machine, saved = self.machine, loaded.saved
        assert saved is not None
        assert machine.lineage is not None
        checkpoint_id = machine.lineage.id
        machine.resume(
            start.writes,
            answers=start.answers,
            is_strict=bool(self.configurable.get(CONFIG_KEY_STRICT_RESUME)),
            place=loaded.place,
        )
        self.resumed_step = machine.step
        if machine.lineage.id == checkpoint_id and start.writes and self.journal is not None:
            kept = delta.commands_to_keep(machine, is_shared=loaded.place is Place.PAST)
            self.journal.add_commands(kept, self.checkpoint_config(checkpoint_id))
        if self.parent is None and machine.is_travelling:
            self.replay = Replay(before_branch(saved))

    def _observe(self, machine: RunMachine) -> None:
        """Connect the machine to everybody who wants to see something of this run."""
        inherited = self.parent.run.forwards if self.parent is not None else []
        if self.bound is not None:
            self.pour = self.bound.through(self.pour)
        own = self.view.modes
        targets: dict[str, list[Put]] = {}
        for put, modes in [(self.put, own), *inherited]:
            for mode in modes:
                targets.setdefault(mode, []).append(put)
        self.forwards = [*inherited, (self.put, own)] if self.view.has_subgraphs else inherited
        if "custom" in own:
            self.custom_put = self.pour
        elif inherited and self.parent is not None:
            self.custom_put = self.parent.run.custom_put
        self.taps = taps_of(self)
        self.tool_taps = tool_taps_of(self)
        self.writer = self._make_writer()
        self._read = state_reader(machine, self.view.output_keys)
        projection = Projection(
            machine=machine,
            namespace=self.namespace,
            targets=targets,
            output_keys=self.view.output_keys,
            stream_keys=self.spec.stream_keys,
            shape=self.shape,
            now=now,
            task_metadata=partial(user_metadata, self),
            checkpoint_config=self.checkpoint_config,
            on_values=self._values_listener(),
            is_root=self.parent is None,
        )
        machine.observer = observe(projection)
        listeners = targets.get(MODE_OF_GRAPHS)
        if listeners and self.parent is not None:
            self.tell_end = tell_started(self, self.parent, listeners)

    def _make_writer(self) -> StreamWriter:
        put, namespace = self.custom_put, self.namespace
        if put is None:
            return _no_op_stream_writer
        return lambda item: put((namespace, "custom", item, None))

    def _values_listener(self) -> Callable[[], None] | None:
        if not self.is_result_wanted:
            return None
        return self._keep_values if self.spec.has_fading_values else self._note_values

    def _note_values(self) -> None:
        self.has_values = True

    def _keep_values(self) -> None:
        self.has_values = True
        self.last_values = self._read()

    def take(self) -> Iterator[Any]:
        """Hand out what the consumer has not received yet."""
        parts, view = self.parts, self.view
        encode, printed = view.encode, view.printed
        take = parts.popleft if self.bound is None else self.bound.take
        for _ in range(len(parts)):
            part = take()
            if printed:
                if part[1] in printed:
                    print(format_part(part, has_subgraphs=view.has_subgraphs))  # noqa: T201
                if part[1] not in view.yielded:
                    continue
            yield encode(part)

    def report(self, context: TaskContext, error: BaseException | None) -> Task | None:
        """Tell the machine how a task ended; return the task that handles a failure, if any."""
        machine, task = self.machine, context.task
        context.is_over = True
        del context.config  # it refers back to the context: leave no cycle to the collector
        handler = None
        if error is None:
            machine.finish(task)
        elif isinstance(error, GraphInterrupt):
            machine.pause(task, error.args[0] if error.args else ())
        else:
            handler = machine.fail(task, error)
        if self.journal is not None:
            self.note_task(task)
        return handler

    def note_task(self, task: Task) -> None:
        """Take note of what a task left behind, to be stored."""
        if self.journal is not None:
            self.journal.add_task(task, self.checkpoint_config(self.machine.checkpoint_id))

    def commit(self) -> None:
        """Commit the superstep, and note the new checkpoint for storing."""
        self.machine.commit()
        self.note_checkpoint()

    def note_checkpoint(self) -> None:
        """Take the machine's new checkpoint, if any, to be stored."""
        if self.journal is not None and self.machine.save is not None:
            self.journal.add_checkpoint(self.machine.save)
            self.machine.save = None

    def close_journal(self) -> None:
        """Have stored what was held back until the end of the run.

        With durability `exit` a nested run that has ended well leaves nothing: its result is with
        its caller. One that keeps its state between calls does.
        """
        assert self.journal is not None
        machine: RunMachine | None = getattr(self, "machine", None)
        is_fleeting = self.parent is not None and NS_END in self.ns
        has_ended_well = machine is not None and machine.status is RunStatus.DONE
        if self.durability == "exit" and is_fleeting and has_ended_well:
            self.journal.give_up()
        self.journal.close()

    def note_failure(self, error: BaseException) -> None:
        """Take note of the error the run ends with.

        The failure of a task stays visible in an error that takes its place: a saver's.
        """
        machine: RunMachine | None = getattr(self, "machine", None)
        failed = machine.failure if machine is not None else None
        if failed is not None and failed.error is not error and error.__context__ is None:
            error.__context__ = failed.error
        self._note_end(error)

    def conclude(self) -> None:
        """Raise what the run's end means to its caller; return if it ended well.

        A root run that waits for a person ends well. A nested one tells its parent by raising.
        """
        machine = self.machine
        status = machine.status
        if status is RunStatus.FAILED:
            assert machine.failure is not None
            assert machine.failure.error is not None
            raise machine.failure.error
        if status is RunStatus.OUT_OF_STEPS:
            raise GraphRecursionError(
                create_error_message(
                    message=(
                        f"Recursion limit of {machine.limits.steps} reached without hitting a "
                        "stop condition. You can increase the limit by setting the "
                        "`recursion_limit` config key."
                    ),
                    error_code=ErrorCode.GRAPH_RECURSION_LIMIT,
                )
            )
        if status is RunStatus.DRAINED:
            assert self.control is not None
            raise GraphDrained(self.control.drain_reason or "")
        if self.parent is not None and status in (RunStatus.PAUSED, RunStatus.BREAKPOINT):
            raise GraphInterrupt(tuple(machine.questions))
        self._note_end(None)

    def _note_end(self, error: BaseException | None) -> None:
        """Tell who looks at nested graphs how this one has ended."""
        tell, self.tell_end = self.tell_end, None
        if tell is not None:
            tell(error)

    def output(self) -> Any:
        """Return the last state that was shown, None if there was none."""
        if not self.has_values:
            return None
        if self.spec.has_fading_values:
            return self.last_values
        return self._read()

    @property
    def is_resuming_step(self) -> bool:
        """Say whether the current superstep was interrupted or failed before."""
        return self.resumed_step == self.machine.step

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

    @property
    def has_failed(self) -> bool:
        """Say whether a task has failed, and nothing took care of it."""
        machine: RunMachine | None = getattr(self, "machine", None)
        return machine is not None and machine.failure is not None

    def note_leaving(self) -> None:
        """Take note that the driver stops, at the end of the run or before."""
        machine: RunMachine | None = getattr(self, "machine", None)
        self.is_left = machine is not None and machine.status not in ENDED
        if self.is_left:
            self.refuse()
        self.outlet.close()
        if self.bound is not None:
            self.bound.close()

    def refuse(self) -> None:
        """Stop threads of tasks that emit, all but this one, whether or not they wait."""
        self.outlet.refuse()
        if self.bound is not None:
            self.bound.close()

    def note_finished(self, ended: Iterable[tuple[TaskContext, BaseException | None]]) -> None:
        """Have the writes of tasks stored that finished while the run was being left."""
        for context, error in ended:
            if error is None and self.machine.status is RunStatus.STEPPING:
                self.report(context, None)

    @property
    def thread_id(self) -> str | None:
        """The thread the run belongs to, None without a saver."""
        thread = self.configurable.get("thread_id")
        return None if thread is None else str(thread)

    def checkpoint_config(self, checkpoint_id: str | None) -> dict[str, Any] | None:
        """Return the config that names a checkpoint of this run."""
        if not checkpoint_id:
            return None
        named = {
            "checkpoint_ns": self.ns,
            **self.public_configurable(),
        }
        if self.checkpoint_map:
            named["checkpoint_map"] = self.checkpoint_map_at(checkpoint_id)
        return {"configurable": {**named, "checkpoint_id": checkpoint_id}}

    def named_checkpoint(self) -> str | None:
        """Return the id of the checkpoint that the caller wants this run to go on from.

        For a nested run the caller's ids count in the superstep that goes on from one.
        """
        if self.parent is not None and not self.parent.run.is_resuming_step:
            return None
        return self.named.get(self.ns)

    def load_config(self, checkpoint_id: str | None = None) -> RunnableConfig:
        """Return the config that asks the saver for a checkpoint, for the newest by default."""
        named = {**self.configurable, "checkpoint_ns": self.ns}
        named.pop("checkpoint_id", None)
        if checkpoint_id is not None:
            named["checkpoint_id"] = checkpoint_id
        return {"configurable": named}

    def public_configurable(self) -> dict[str, Any]:
        """Return the caller's `configurable` without what says where a run stands."""
        public = {
            key: value
            for key, value in self.configurable.items()
            if not key.startswith("__") and key not in PLACE_KEYS
        }
        if "thread_id" in public:
            public["thread_id"] = str(public["thread_id"])
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

    def traced_output(self) -> Any:
        """Return what callback handlers are told as the run's output."""
        return self._read()

    def node_callbacks(self, step: int) -> BaseCallbackManager | None:
        """Return the callbacks for the tasks of a superstep."""
        if self.callbacks is None:
            return None
        manager: BaseCallbackManager = self.callbacks.get_child(f"graph:step:{step}")
        return manager
