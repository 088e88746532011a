"""A task whose node runs elsewhere: what is asked for, and what is done with what comes back.

What the node does there is carried out here, in the thread or asyncio task in which the node would
have run: so back-pressure, signs of life and refusal after the reader has gone are as always.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream.constants import CONFIG_KEY_CHECKPOINT_MAP, ENGINE_PREFIX
from millstream.drivers.executor import (
    Delivery,
    Ear,
    Reply,
    SavedScope,
    TaskEvent,
    TaskOutcome,
    TaskRequest,
)
from millstream.drivers.questions import (
    find_answer,
    forget_answer,
    record_answered,
    record_questions,
    record_together,
)
from millstream.errors import GraphInterrupt
from millstream.modes.names import CUSTOM, MESSAGES
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.core.spec import NodeSpec
    from millstream.core.strands import Strand
    from millstream.drivers.context import TaskContext
    from millstream.drivers.executor import Execution, Executor
    from millstream.drivers.questions import Question
    from millstream.drivers.run_scope import RunScope
    from millstream.drivers.task_calls import AnyFuture
    from millstream.modes.parts import Namespace

Calls: TypeAlias = "dict[int, AnyFuture]"
"""What a task that runs elsewhere has called, by the numbers of the replies that it waits for."""

STORE_FACTS = ("supports_ttl", "ttl_config")
"""Attributes of a store that its methods look at before they ask it."""


async def call_elsewhere(context: TaskContext, executor: Executor) -> Any:
    """Have an executor call the task's node; return its result, or raise what it raised."""
    run = context.run
    execution = executor.submit(request_of(context))
    outcome = None
    calls: Calls = {}
    try:
        while outcome is None:
            item = await run.waits.next_of(execution, run)
            if isinstance(item, TaskOutcome):
                outcome = item
            elif isinstance(item.event, CallDropped):
                item.event.drop(calls)
                if item.number is not None:
                    execution.reply(Reply(item.number))
            else:
                await _deliver(context, execution, item, calls)
    # Whatever ends the task here ends it there, before anything else happens: its next attempt must
    # not overlap with this one. Nor must its calls, which it cannot drop itself any more.
    except BaseException:
        for future in list(calls.values()):
            future.cancel()
        await run.waits.stop(execution)
        raise
    finally:
        if context.promises is not None:
            context.promises.keep_all()
            context.promises = None
    if outcome.error is not None:
        raise outcome.error
    if outcome.questions:
        raise GraphInterrupt(outcome.questions)
    return outcome.result


async def _deliver(
    context: TaskContext, execution: Execution, delivery: Delivery, calls: Calls
) -> None:
    number, event = delivery.number, delivery.event
    assert isinstance(event, NodeEvent), "what an executor delivers comes from a node"
    if number is None:
        await event.deliver(context)
        return
    try:
        answer = await event.deliver(context)
    # What the node asked for has failed, and the node is told. A cancellation is of this task.
    except (Exception, RunAbandoned) as error:
        execution.reply(Reply(number, error=error))
        return
    # A call of a task takes its time, and the node goes on meanwhile.
    if isinstance(answer, (Future, asyncio.Future)):
        calls[number] = answer
        answer.add_done_callback(partial(_reply, execution, number, calls))
    else:
        execution.reply(Reply(number, answer))


def _reply(execution: Execution, number: int, calls: Calls, ended: AnyFuture) -> None:
    """Tell the task how a call of it has ended, and keep its result no longer."""
    calls.pop(number, None)
    error = asyncio.CancelledError() if ended.cancelled() else ended.exception()
    if error is None:
        execution.reply(Reply(number, ended.result()))
    else:
        execution.reply(Reply(number, error=error))


def request_of(context: TaskContext) -> TaskRequest:
    """Return what an executor has to know of a task."""
    run, task, asked = context.run, context.task, context.run.request
    body, info, store = task.node.body, context.runtime.execution_info, asked.store
    assert info is not None
    return TaskRequest(
        node=task.name,
        runnable=body.runnable,
        input=task.input,
        # A sync run calls sync functions, there as here.
        is_async=run.waits.is_async and body.call.has_async,
        has_async_calls=run.waits.is_async,
        task_id=task.id,
        ns=task.ns,
        path=task.path,
        triggers=task.triggers,
        step=task.step,
        checkpoint_id=task.checkpoint_id,
        checkpoint_map=context.checkpoint_map(),
        attempt=context.attempt,
        first_attempt_time=info.node_first_attempt_time,
        graph=run.name,
        graph_ns=run.ns,
        config=asked.config,
        configurable={
            key: value
            for key, value in asked.configurable.items()
            if not key.startswith(ENGINE_PREFIX) and key != CONFIG_KEY_CHECKPOINT_MAP
        },
        metadata=context.metadata(),
        tags=tuple(body.tags),
        context=asked.context,
        previous=context.previous,
        error=context.injected("error"),
        server_info=asked.server_info,
        recursion_limit=asked.limits.steps,
        drain_reason=asked.control.drain_reason if asked.control.drain_requested else None,
        store=None if store is None else {name: getattr(store, name) for name in STORE_FACTS},
        saved=None if asked.saver is None else _saved(run),
        has_custom=run.emit_custom is not None,
        messages=tuple(Ear(tap.has_subgraphs, tap.has_blocks) for tap in run.taps),
        tools=tuple(Ear(tap.has_subgraphs) for tap in run.tool_taps),
        nested=tuple(modes for _, modes in run.forwards),
        is_watched=context.heartbeats is not None,
    )


def _saved(run: RunScope) -> SavedScope:
    machine, replay = run.machine, run.replay
    answers, lineage = machine.answers, machine.lineage
    return SavedScope(
        durability=run.request.durability,
        is_resuming=run.is_resuming_step,
        highest_id="" if run.stamps is None else run.stamps.highest,
        lineage_id="" if lineage is None else lineage.id,
        origin_id=run.origin_id,
        former_ns=run.request.nesting.former_ns,
        parent_config=run.saved_parent,
        named_checkpoints=dict(run.named_checkpoints),
        replayed_id=None if replay is None else replay.checkpoint_id,
        has_answers=answers is not None,
        answered_ids=None if answers is None else answers.ids,
        answered_question=None if answers is None else answers.question,
        has_log_ahead=run.request.ahead is not None,
    )


class NodeEvent(TaskEvent, ABC):
    """What a node does elsewhere, and how that is carried out here."""

    __slots__ = ()

    @abstractmethod
    async def deliver(self, context: TaskContext) -> Any:
        """Carry it out; return what the task is told, or a future of that."""


async def _room(context: TaskContext) -> None:
    """Wait for slow readers before the next event is taken, and with it the node.

    Raises `RunAbandoned` when nobody reads: a node that shows more and more leaves its run no time
    to look up.
    """
    run = context.run
    if run.buffer_limit is not None:
        await run.waits.room_in(run.buffer_limit)
    for limit in run.outer_limits:
        await run.waits.room_in(limit)
    if run.is_left or run.is_abandoned:
        raise RunAbandoned(run.name)


@dataclass(frozen=True, slots=True)
class Emitted(NodeEvent):
    """The node gave an item to the writer."""

    namespace: Namespace
    item: Any

    async def deliver(self, context: TaskContext) -> None:
        """Emit it."""
        if self.namespace == context.run.namespace:
            # By the task's writer, which drops what comes after a timeout.
            context.writer(self.item)
        elif context.run.emit_custom is not None:
            context.run.emit_custom((self.namespace, CUSTOM, self.item, None))
        await _room(context)


@dataclass(frozen=True, slots=True)
class Heard(NodeEvent):
    """A model or tool of the node said something to one of the consumers."""

    mode: str
    index: int
    namespace: Namespace
    payload: Any

    async def deliver(self, context: TaskContext) -> None:
        """Tell the consumer."""
        run = context.run
        if (watch := context.heartbeats) is not None:
            watch.record_event()
        if self.mode == MESSAGES:
            tap = run.taps[self.index]
            tap.relay(self.namespace, self.payload)
            # Before the next item is taken: so the node's models wait for a slow reader.
            await run.waits.room_for(tap)
        else:
            run.tool_taps[self.index].relay(self.namespace, self.payload)


@dataclass(frozen=True, slots=True)
class Forwarded(NodeEvent):
    """Something happened in a graph that the node calls, which one of the consumers sees.

    The classes of that graph's state stay where it is: `version="v2"` shows its states as dicts.
    """

    index: int
    namespace: Namespace
    mode: str
    payload: Any

    async def deliver(self, context: TaskContext) -> None:
        """Show it to the consumer."""
        emit, _ = context.run.forwards[self.index]
        emit((self.namespace, self.mode, self.payload, None))
        await _room(context)


@dataclass(frozen=True, slots=True)
class Alive(NodeEvent):
    """The node gave a sign of life."""

    is_heartbeat: bool

    async def deliver(self, context: TaskContext) -> None:
        """Tell who waits for it."""
        if (watch := context.heartbeats) is not None:
            (watch.heartbeat if self.is_heartbeat else watch.record_event)()


@dataclass(frozen=True, slots=True)
class Passed(NodeEvent):
    """The node wants to know when all that it did before has been carried out."""

    async def deliver(self, context: TaskContext) -> None:
        """Do nothing: it is told."""


@dataclass(frozen=True, slots=True)
class DrainRequested(NodeEvent):
    """The node asked its run to stop."""

    reason: str

    async def deliver(self, context: TaskContext) -> None:
        """Ask the run."""
        context.run.control.request_drain(self.reason)


@dataclass(frozen=True, slots=True)
class AnswerWanted(NodeEvent):
    """The node asks a question: which one is it, and what is the answer?"""

    value: Any
    strand: Strand

    async def deliver(self, context: TaskContext) -> Question:
        """Look for the answer."""
        return find_answer(context, self.value, self.strand)


@dataclass(frozen=True, slots=True)
class AnswerRefused(NodeEvent):
    """An answer does not fit."""

    number: int

    async def deliver(self, context: TaskContext) -> None:
        """Have the question open again."""
        forget_answer(context, self.number)


@dataclass(frozen=True, slots=True)
class QuestionsNoted(NodeEvent):
    """Strands of the node ask questions, which may not be all that stops it."""

    questions: tuple[Any, ...]

    async def deliver(self, context: TaskContext) -> None:
        """Take note of them."""
        record_questions(context, self.questions)


@dataclass(frozen=True, slots=True)
class QuestionsTogether(NodeEvent):
    """A task of a graph that the node calls asks what may be answered one after the other."""

    ids: frozenset[str]

    async def deliver(self, context: TaskContext) -> None:
        """Take note of them."""
        record_together(context, self.ids)


@dataclass(frozen=True, slots=True)
class QuestionsAnswered(NodeEvent):
    """A task of a graph that the node calls has got its answers."""

    answered: frozenset[str]
    asked: tuple[Any, ...]
    """What it asks instead."""

    async def deliver(self, context: TaskContext) -> None:
        """Take note of it."""
        record_answered(context, self.answered, self.asked)


@dataclass(frozen=True, slots=True)
class GraphCalled(NodeEvent):
    """The node calls a graph: which one is it?"""

    place: str

    async def deliver(self, context: TaskContext) -> tuple[int, bool]:
        """Return its number, and whether it is a new one."""
        return context.count_nested_run(self.place)


@dataclass(frozen=True, slots=True)
class StoreUsed(NodeEvent):
    """The node uses the run's store."""

    operations: Sequence[Any]

    async def deliver(self, context: TaskContext) -> list[Any]:
        """Carry the operations out."""
        store = context.run.request.store
        assert store is not None, "a run without a store gives its nodes none"
        return await context.run.waits.use(store, self.operations)


@dataclass(frozen=True, slots=True)
class TaskCalled(NodeEvent):
    """The node calls a `@task`: as a task of its superstep, where the run is or that task says."""

    node: NodeSpec
    arguments: Any
    strand: Strand

    @property
    def what(self) -> str:
        """What is sent, for those who are told that it cannot be."""
        return f"its call of task '{self.node.name}'"

    async def deliver(self, context: TaskContext) -> Any:
        """Begin the call; return its future."""
        return context.run.call(context, self.node, self.arguments, self.strand)


@dataclass(frozen=True, slots=True)
class CallDropped(NodeEvent):
    """The node has cancelled the future of a call."""

    number: int

    def drop(self, calls: Calls) -> None:
        """Cancel the call."""
        if (future := calls.pop(self.number, None)) is not None:
            future.cancel()

    async def deliver(self, context: TaskContext) -> None:
        """Do nothing: who knows the calls drops it."""
