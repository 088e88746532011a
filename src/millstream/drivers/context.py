"""What the code of one task is given: config, runtime, writer.

Almost all of it is made when somebody looks: a node that never asks for its config costs no config,
no task id and no runtime. What LangChain's context variable holds meanwhile is an `AmbientConfig`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from millstream.config import AmbientConfig
from millstream.constants import (
    CONFIG_KEY_CHECKPOINT_NS,
    PREVIOUS,
)
from millstream.core.progress import NO_PLACES
from millstream.errors import NodeError
from millstream.runtime import ExecutionInfo, Runtime, _no_op_heartbeat

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackManager

    from millstream._base.run_trees import NodeRun
    from millstream._base.workers import Workers
    from millstream.core.tasks import Task
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.drivers.run_scope import RunScope
    from millstream.outbox.write_ahead import Promises
    from millstream.types import StreamWriter

ASKING: Final = Lock()
"""One question at a time finds its answer, and one graph its number: threads of a task may ask at
once."""


class TaskContext(ABC):
    """One task as whatever serves its code sees it; `NodeContext` adds what the code itself sees.

    As with tasks, what most never have stands on the class.
    """

    attempt = 1
    first_attempt_time: float | None = None
    """When the first attempt began, where there may be several. Else the time when somebody first
    asked for it (`runtime.execution_info`): a node that nobody asks costs no look at the clock."""
    callbacks: BaseCallbackManager | None = None
    """Callbacks for what the node itself runs, None when nobody listens."""
    node_run: NodeRun | None = None
    """The node's own run in LangChain's callbacks, while it lasts."""
    own_heartbeats: Heartbeats | None = None
    """Told of signs of life while the attempt has an idle timeout."""
    has_timeout = False
    """The attempt has a timeout."""
    is_over = False
    """The attempt is over: late code of it cannot call tasks, and what it gives to the writer
    of an attempt with a timeout is dropped. Models it asks are still heard."""
    is_cancelled = False
    """Nobody waits for the attempt any more."""
    nested_runs = 0
    """How many graphs the task has called, in this attempt or an earlier one."""
    asked = 0
    """How many questions this attempt has asked."""
    open_questions: Mapping[str, Any] = MappingProxyType({})
    """What strands of this attempt asked and nobody has answered, by id."""
    threads: Callable[[], Workers] | None = None
    """Where an async run calls functions that are not async; None for the loop's own threads."""
    _places: Mapping[str, int] = MappingProxyType({})
    """How many graphs were called at each place of a strand."""
    promises: Promises | None = None
    """What graphs have promised to a log ahead that the node calls elsewhere."""
    made_config: dict[str, Any] | None = None
    """The config of this attempt if somebody has looked at it."""
    _runtime: Runtime[Any] | None = None
    _writer: StreamWriter | None = None

    def __init__(self, run: RunScope, task: Task) -> None:
        self.run = run
        self.task = task
        self.ambient_config = ambient = AmbientConfig()
        """What stands for the config as long as nobody looks."""
        ambient.context = self

    @property
    def config(self) -> dict[str, Any]:
        """The config of this attempt, a plain dict."""
        config = self.made_config
        if config is None:
            # Another thread may have made it meanwhile: there is only one.
            config = self.__dict__.setdefault("made_config", self.make_config())
        return config

    @abstractmethod
    def record_questions(self, questions: Iterable[Any]) -> None:
        """Take note of what a strand asks, which may not be all that stops the task."""

    @abstractmethod
    def record_together(self, ids: Set[str]) -> None:
        """Take note of questions that may be answered as if one came after the other."""

    @abstractmethod
    def record_answered(self, answered: Set[str], asked: Sequence[Any]) -> None:
        """Note which questions of a nested graph have got their answers, and what it asks now."""

    def count_nested_run(self, place: str = "") -> tuple[int, bool]:
        """Return the number of the graph that the task calls, and whether it is a new one.

        It is the number of those that the task called before, in this attempt or an earlier one. A
        strand that calls at the same place as in a run before this one has the same number again.
        """
        known = self.task.machine.places_of(self.task) if self.run.saver is not None else NO_PLACES
        with ASKING:
            if place:
                count = self._places.get(place, 0)
                self._places = {**self._places, place: count + 1}
                numbers = known.get(place, ())
                if count < len(numbers):
                    return numbers[count], False
            number = self.nested_runs
            # Numbers that strands had are theirs again, also those that have not called yet.
            while known and any(number in numbers for numbers in known.values()):
                number += 1
            self.nested_runs = number + 1
            return number, True

    @property
    def writer(self) -> StreamWriter:
        """The stream writer: the run's own, or one whose items are signs of life."""
        if self._writer is None:
            self._writer = self.run_writer()
            # Only then does it matter when an item is written, and by which attempt.
            if self.has_timeout or self.heartbeats is not None:
                self._writer = self._recorded_writer(self._writer, self.heartbeats)
        return self._writer

    @property
    def heartbeats(self) -> Heartbeats | None:
        """Who is told of signs of life, None if no attempt with an idle timeout is under way."""
        return self.own_heartbeats or self.outer_heartbeats()

    def outer_heartbeats(self) -> Heartbeats | None:
        """Return who watches what this task is part of."""
        return self.run.heartbeats

    def run_writer(self) -> StreamWriter:
        """Return the writer of items in the task's namespace."""
        return self.run.writer

    @property
    def previous(self) -> Any:
        """What the last run of a functional graph on this thread saved, None if nothing."""
        return self.run.machine.cells.get(PREVIOUS)

    @property
    def parent(self) -> TaskContext | None:
        """The task that called this one's graph, None in a root run."""
        return self.run.parent

    @property
    def traced_input(self) -> Any:
        """The input as callback handlers are told."""
        return self.task.input

    def inherited_callbacks(self) -> BaseCallbackManager | None:
        """Return the callbacks that the task's own are made from."""
        return self.run.node_callbacks(self.task.step)

    def checkpoint_map(self) -> dict[str, str]:
        """Return the checkpoint ids of the graphs the task is in, by namespace."""
        return self.run.checkpoint_map_at(self.task.checkpoint_id)

    @property
    def runtime(self) -> Runtime[Any]:
        """The runtime of this attempt."""
        if self._runtime is None:
            run, heartbeats = self.run, self.heartbeats
            self._runtime = Runtime(
                context=run.request.context,
                store=run.request.store,
                stream_writer=self.writer,
                heartbeat=_no_op_heartbeat if heartbeats is None else heartbeats.heartbeat,
                previous=self.previous,
                execution_info=self._execution_info(),
                server_info=run.request.server_info,
                control=run.control,
            )
        return self._runtime

    @property
    def made_runtime(self) -> Runtime[Any] | None:
        """The runtime of this attempt if somebody has looked at it."""
        return self._runtime

    @property
    def ns(self) -> str:
        """The task's namespace."""
        return self.task.ns

    def injected(self, name: str) -> Any:
        """Return the value of an injectable parameter."""
        if name == "config":
            # A copy: what the node changes in it is for whatever it gives it to.
            return self.config.copy()
        if name == "writer":
            return self.writer
        if name == "store":
            return self.run.request.store
        if name == "runtime":
            return self.runtime
        if name == "previous":
            return self.previous
        if name == "error" and self.task.origin is not None:
            failed = self.task.origin
            assert failed.error is not None
            return NodeError(node=failed.name, error=failed.error)
        return None

    def record_start(self) -> None:
        """Take note of the time: there may be several attempts, which can ask for it."""
        self.first_attempt_time = self.run.clock.timestamp()

    def next_attempt(self) -> None:
        """Forget what belongs to the attempt that failed."""
        self.attempt += 1
        # What the attempt wrote before it failed.
        self.task.writes = []
        self.renew_config()
        self.is_over = self.is_cancelled = False
        self.asked = 0
        self.open_questions = {}
        # The next attempt asks from its top, and gets the same answers.
        if self.task.questions is not None:
            self.task.questions.begin()
        self._runtime = None
        self._writer = None

    def renew_config(self) -> None:
        """Have the config made afresh when somebody looks, from what the task's callbacks now are.

        An ambient config that somebody has looked at remains the old one.
        """
        self.__dict__.pop("made_config", None)
        self.ambient_config = ambient = AmbientConfig()
        ambient.context = self

    def forget_config(self) -> None:
        """Leave no cycle to the collector: configs refer back to the context."""
        del self.ambient_config
        if self.made_config is not None:
            self.made_config = None

    @abstractmethod
    def make_config(self) -> dict[str, Any]:
        """Assemble the config that the node and everything below it see."""

    def metadata(self) -> dict[str, Any]:
        """Return the task's metadata: the run's, which task this is, and the node's own."""
        task = self.task
        return {
            **self.run.metadata,
            "langgraph_step": task.step,
            "langgraph_node": task.node.name,
            "langgraph_triggers": task.triggers,
            "langgraph_path": task.path,
            "langgraph_checkpoint_ns": task.ns,
            **(task.node.body.metadata or {}),
        }

    def called_metadata(self) -> dict[str, Any]:
        """Return the metadata of a run that the task calls with its own config."""
        return {CONFIG_KEY_CHECKPOINT_NS: self.ns, **self.metadata()}

    def _execution_info(self) -> ExecutionInfo:
        run, task = self.run, self.task
        # Somebody asks at last, in the only attempt there is.
        if self.first_attempt_time is None:
            self.first_attempt_time = self.run.clock.timestamp()
        run_id = run.config.get("run_id")
        return ExecutionInfo(
            checkpoint_id=task.checkpoint_id,
            checkpoint_ns=task.ns,
            task_id=task.id,
            thread_id=run.thread_id,
            run_id=None if run_id is None else str(run_id),
            node_attempt=self.attempt,
            node_first_attempt_time=self.first_attempt_time,
        )

    def _recorded_writer(self, write: StreamWriter, heartbeats: Heartbeats | None) -> StreamWriter:
        attempt = self.attempt

        def write_in_time(item: Any) -> None:
            # Of an attempt whose time was up, or another one: a thread of it goes on, and is not
            # heard.
            if self.has_timeout and (self.is_over or attempt != self.attempt):
                return
            if heartbeats is not None:
                heartbeats.record_event()
            write(item)

        return write_in_time
