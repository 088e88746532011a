"""A node where its run is not: it sees what it would see there, and what it does is sent there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NoReturn

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.store.base import BaseStore

from millstream._base.clock import SYSTEM
from millstream.core.machine import RunMachine
from millstream.core.observer import NOT_WATCHED
from millstream.core.protocol import RunLimits
from millstream.core.spec import GraphSpec, NodeSpec
from millstream.core.strands import OWN
from millstream.core.tasks import Task
from millstream.drivers import taps
from millstream.drivers.context import TaskContext
from millstream.drivers.current_strand import strand_of
from millstream.drivers.elsewhere import (
    Alive,
    AnswerRefused,
    AnswerWanted,
    CallDropped,
    DrainRequested,
    Emitted,
    Forwarded,
    GraphCalled,
    Heard,
    QuestionsAnswered,
    QuestionsNoted,
    QuestionsTogether,
    StoreUsed,
    TaskCalled,
)
from millstream.drivers.executor import TaskOutcome
from millstream.drivers.function_calls import FunctionCall
from millstream.drivers.heartbeats import Heartbeats
from millstream.drivers.node_context import NodeContext
from millstream.drivers.nodecall import Call, NodeCall, call_in
from millstream.drivers.run_request import Nesting, RunRequest
from millstream.drivers.run_scope import RunScope
from millstream.drivers.task_calls import async_call_error, settle
from millstream.drivers.waits import AWAITING, BLOCKING, carried, finish
from millstream.errors import GraphInterrupt, ParentCommand
from millstream.modes.names import MESSAGES, TOOLS
from millstream.modes.parts import Shape
from millstream.modes.subscription import Subscription
from millstream.outbox.abandoned import RunAbandoned
from millstream.runtime import RunControl

if TYPE_CHECKING:
    from millstream.core.strands import Strand
    from millstream.drivers.executor import Ear, Reply, SavedScope, TaskRequest
    from millstream.drivers.questions import Question
    from millstream.drivers.task_calls import AnyFuture
    from millstream.executors.line import Line
    from millstream.executors.saved import RemoteSaved
    from millstream.modes.message_tap import MessageTap
    from millstream.modes.parts import Emit, Part
    from millstream.modes.tool_tap import ToolTap

NOTHING_SHOWN: Final = Subscription(
    frozenset(), lambda part: part, (), frozenset(), lambda cells: None
)
NO_SHAPE: Final = Shape()


def perform(request: TaskRequest, line: Line) -> TaskOutcome:
    """Make one attempt of a task in this thread, and return how it ended."""
    context = RemoteContext(request, line)
    try:
        if request.is_async:
            result = asyncio.run(_acall(context, line))
        else:
            result = copy_context().run(_call, context, line)
    except GraphInterrupt as signal:
        return TaskOutcome(questions=tuple(signal.args[0]) if signal.args else ())
    except BaseException as error:
        if isinstance(error, ParentCommand) and context.run.tool_taps:
            taps.emit_command(context, error)
        return TaskOutcome(error=carried(error))
    return TaskOutcome(result)


def _call(context: RemoteContext, line: Line) -> Any:
    def stop() -> None:
        context.run.abandon()

    line.when_stopped(stop)
    var_child_runnable_config.set(context.ambient_config)  # type: ignore[arg-type]  # a dict subclass
    return finish(call_in, context, context.task.node.body.call, context.task.input)


async def _acall(context: RemoteContext, line: Line) -> Any:
    loop, current = asyncio.get_running_loop(), asyncio.current_task()
    assert current is not None
    context.loop = loop

    def stop() -> None:
        context.run.abandon()
        context.is_cancelled = True
        with suppress(RuntimeError):  # it has ended, and its loop is closed
            loop.call_soon_threadsafe(current.cancel)

    line.when_stopped(stop)
    var_child_runnable_config.set(context.ambient_config)  # type: ignore[arg-type]  # a dict subclass
    return await call_in(context, context.task.node.body.call, context.task.input)


class RemoteTask(Task):
    """A task whose namespace is known."""

    def __init__(self, machine: RunMachine, node: NodeSpec, request: TaskRequest) -> None:
        super().__init__(machine, node, request.path, request.triggers)
        self._ns = request.ns
        self._checkpoint_id = request.checkpoint_id
        self.input = request.input
        # The one it has where the run is: ids of nested graphs are made of it.
        self.rename(request.task_id)

    @property
    def ns(self) -> str:
        """The task's namespace."""
        return self._ns


class RemoteContext(NodeContext):
    """A task as its code sees it."""

    def __init__(self, request: TaskRequest, line: Line) -> None:
        self._request, self._line = request, line
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that awaits the node, None for a sync one."""
        run = RemoteScope(request, line, self._call_task)
        super().__init__(run, RemoteTask(run.machine, _node_of(request), request))
        self.attempt = request.attempt
        self.first_attempt_time = request.first_attempt_time
        if request.is_watched:
            self.own_heartbeats = RemoteWatch(line)
        # Messages that the node was given are known where the run is; here they must be, too.
        for tap in run.taps:
            tap.record_seen(request.input)
            for _ in range(1, request.attempt):
                tap.end_attempt(self.ns)

    def find_answer(self, value: Any, strand: Strand | None = None) -> Question:
        """Ask for the answer, and for the number of the question."""
        if strand is None:
            strand = strand_of(self) if self._request.saved is not None else OWN
        found: Question = self._line.ask(AnswerWanted(value, strand))
        return found

    def forget_answer(self, number: int) -> None:
        """Take back an answer that does not fit."""
        self._line.emit(AnswerRefused(number))

    def record_questions(self, questions: Iterable[Any]) -> None:
        """Take note of what a strand asks."""
        self._line.emit(QuestionsNoted(tuple(questions)))

    def _call_task(
        self, caller: TaskContext, node: NodeSpec, value: Any, strand: Strand | None = None
    ) -> AnyFuture:
        """Have a task called where the run is; return a future for the caller's thread."""
        if node.body.call.has_async and not self._request.has_async_calls:
            raise async_call_error()
        if strand is None:
            strand = strand_of(caller) if self._request.saved is not None else OWN
        called = TaskCalled(node, value, strand)
        future: AnyFuture
        if self.loop is not None and asyncio._get_running_loop() is self.loop:
            future = self.loop.create_future()
            number = self._line.begin(called, partial(_tell_loop, self.loop, future))
        else:
            future = Future()
            number = self._line.begin(called, partial(_tell_thread, future))
        future.add_done_callback(partial(_drop_cancelled, self._line, number))
        return future

    def record_together(self, ids: Set[str]) -> None:
        """Take note of questions of a nested graph."""
        self._line.emit(QuestionsTogether(frozenset(ids)))

    def record_answered(self, answered: Set[str], asked: Sequence[Any]) -> None:
        """Note which questions of a nested graph have got their answers."""
        self._line.emit(QuestionsAnswered(frozenset(answered), tuple(asked)))

    def count_nested_run(self, place: str = "") -> tuple[int, bool]:
        """Ask for the number of the graph that the task calls."""
        counted: tuple[int, bool] = self._line.ask(GraphCalled(place))
        return counted

    def metadata(self) -> dict[str, Any]:
        """Return the task's metadata."""
        return dict(self._request.metadata)

    def checkpoint_map(self) -> dict[str, str]:
        """Return the checkpoint ids of the graphs the task is in, by namespace."""
        return dict(self._request.checkpoint_map)

    @property
    def previous(self) -> Any:
        """What the last run of a functional graph on this thread saved."""
        return self._request.previous

    def injected(self, name: str) -> Any:
        """Return the value of an injectable parameter."""
        return self._request.error if name == "error" else super().injected(name)


class RemoteWatch(Heartbeats):
    """Passes on signs of life."""

    def __init__(self, line: Line) -> None:
        super().__init__(None, SYSTEM, is_auto=True)
        self._line = line

    def heartbeat(self) -> None:
        """Pass on that code of the attempt says that it is alive."""
        self._line.emit(Alive(is_heartbeat=True))

    def record_event(self) -> None:
        """Pass on that something happened."""
        self._line.emit(Alive(is_heartbeat=False))


class RemoteControl(RunControl):
    """Passes on that the run shall stop."""

    __slots__ = ("_line",)

    def __init__(self, request: TaskRequest, line: Line) -> None:
        super().__init__()
        self._line = line
        self.drain_reason = request.drain_reason
        self.drain_requested = request.drain_reason is not None

    def request_drain(self, reason: str = "shutdown") -> None:
        """Ask the run to stop before its next superstep."""
        super().request_drain(reason)
        self._line.emit(DrainRequested(reason))


class RemoteStore(BaseStore):
    """The run's store: operations are carried out where the run is."""

    def __init__(self, line: Line, facts: dict[str, Any]) -> None:
        self._line = line
        for name, value in facts.items():
            setattr(self, name, value)

    def batch(self, ops: Iterable[Any]) -> list[Any]:
        """Have the operations carried out, and wait for what comes of them."""
        results: list[Any] = self._line.ask(StoreUsed(list(ops)))
        return results

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        """Have the operations carried out, and wait for what comes of them."""
        return await asyncio.to_thread(self.batch, list(ops))


def _tell_loop(loop: asyncio.AbstractEventLoop, future: AnyFuture, reply: Reply | None) -> None:
    with suppress(RuntimeError):  # the node has ended, and its loop is closed
        loop.call_soon_threadsafe(_settle, future, reply)


def _tell_thread(future: AnyFuture, reply: Reply | None) -> None:
    # What the node has added to the future may wait for this thread.
    Thread(target=_settle, args=(future, reply), name="millstream-called", daemon=True).start()


def _settle(future: AnyFuture, reply: Reply | None) -> None:
    if reply is None:
        settle(future, "", None, RunAbandoned())
    else:
        settle(future, "", reply.value, reply.error)


def _drop_cancelled(line: Line, number: int, future: AnyFuture) -> None:
    """Cancel a call whose future was."""
    if future.cancelled():
        with suppress(RunAbandoned):
            line.emit(CallDropped(number))


def _node_of(request: TaskRequest) -> NodeSpec:
    runnable = request.runnable
    call: Any = runnable if isinstance(runnable, FunctionCall) else Call(runnable, request.node)
    body = NodeCall(call=call, to_writes=_refuse_writes, tags=request.tags)
    return NodeSpec(request.node, request.triggers, _read_nothing, body)


class RemoteMachine(RunMachine):
    """Stands for the machine of the run: looked into, never begun.

    It has what code of a task may ask of its run, without the graph.
    """

    def __init__(self, scope: RunScope, saved: RemoteSaved | None, step: int) -> None:
        super().__init__(
            scope.spec,
            NOT_WATCHED,
            scope.limits,
            scope.clock.new_id,
            scope.ns,
            None if saved is None else saved.lineage,
            answers=None if saved is None else saved.answers,
        )
        self.step = step


class RemoteScope(RunScope):
    """What the node finds of its run."""

    def __init__(self, request: TaskRequest, line: Line, call: Callable[..., Any]) -> None:
        saved = None if request.saved is None else _reach(request.saved, line)
        waits = AWAITING if request.is_async else BLOCKING
        super().__init__(_run_request(request, saved, line), waits)
        self._enclosing = {ns: id for ns, id in request.checkpoint_map.items() if ns != self.ns}
        self.call = call
        self.machine = RemoteMachine(self, saved, request.step)
        if saved is not None:
            self.stamps, self.origin_id = saved.stamps, saved.scope.origin_id
            self.saved_parent = saved.scope.parent_config
            if saved.scope.is_resuming:
                self.resumed_step = request.step
        if request.has_custom:
            # Graphs that the node calls emit by this, each under its namespace.
            self.emit_custom = lambda part: line.emit(Emitted(part[0], part[2]))
            self.writer = lambda item: line.emit(Emitted(self.namespace, item))
        self.taps = tuple(
            _message_tap(self, ear, _relay(line, MESSAGES, index))
            for index, ear in enumerate(request.messages)
        )
        self.ears = self.taps
        self.tool_taps = tuple(
            _tool_tap(self, ear, _relay(line, TOOLS, index))
            for index, ear in enumerate(request.tools)
        )
        self.forwards = [
            (_forward(line, index), modes) for index, modes in enumerate(request.nested)
        ]


def _reach(scope: SavedScope, line: Line) -> RemoteSaved:
    # Imported with the first saver, because savers are slow to import.
    from millstream.executors.saved import reach

    return reach(scope, line)


def _run_request(request: TaskRequest, saved: RemoteSaved | None, line: Line) -> RunRequest:
    """Return as much of what the run was asked for as the node can see."""
    control = RemoteControl(request, line)
    nesting = Nesting(ns=request.graph_ns)
    if saved is not None:
        scope = saved.scope
        nesting = nesting._replace(
            named_checkpoints=scope.named_checkpoints,
            replay=saved.replay,
            former_ns=scope.former_ns,
        )
    return RunRequest(
        spec=GraphSpec(nodes={}, channels={}, shown={}, output_keys=(), stream_keys=()),
        name=request.graph,
        shape=NO_SHAPE,
        limits=RunLimits(request.recursion_limit, control=control),
        control=control,
        subscription=NOTHING_SHOWN,
        result=NOTHING_SHOWN,
        config=dict(request.config),
        configurable=dict(request.configurable),
        metadata=dict(request.metadata),
        nesting=nesting,
        saver=None if saved is None else saved.saver,
        ahead=None if saved is None else saved.ahead,
        durability="async" if saved is None else saved.scope.durability,
        context=request.context,
        store=None if request.store is None else RemoteStore(line, dict(request.store)),
        server_info=request.server_info,
    )


def _forward(line: Line, index: int) -> Emit:
    def emit(part: Part) -> None:
        namespace, mode, payload, _ = part
        line.emit(Forwarded(index, namespace, mode, payload))

    return emit


def _relay(line: Line, mode: str, index: int) -> Emit:
    def put(part: Part) -> None:
        line.emit(Heard(mode, index, part[0], part[2]))

    return put


def _message_tap(run: RunScope, ear: Ear, put: Emit) -> MessageTap:
    kind: type[MessageTap]
    if ear.has_blocks:
        from millstream.modes.block_tap import BlockTap as kind
    else:
        from millstream.modes.message_tap import MessageTap as kind
    return kind(put, run.namespace, None, has_subgraphs=ear.has_subgraphs)


def _tool_tap(run: RunScope, ear: Ear, put: Emit) -> ToolTap:
    from millstream.modes.tool_tap import ToolTap

    return ToolTap(put, run.namespace, None, has_subgraphs=ear.has_subgraphs)


def _refuse_writes(result: Any) -> NoReturn:
    raise AssertionError("what a node writes is worked out where its run is")


def _read_nothing(_state: object, _scratchpad: object) -> None:
    return None
