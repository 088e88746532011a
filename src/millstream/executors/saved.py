"""The saved state of a run, for graphs that a node calls where its run is not.

Such a graph saves with the run's saver and takes the run's answers. Both stay where the run is:
what is asked of them is sent there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver

from millstream._base.clock import Stamps
from millstream._base.workers import resolve
from millstream.constants import MISSING
from millstream.core.answers import Answers
from millstream.core.checkpoints import Lineage
from millstream.drivers.elsewhere import NodeEvent
from millstream.drivers.questions import tasks_around
from millstream.drivers.run_request import Replay
from millstream.drivers.waits import finish
from millstream.executors.ahead import RemoteAhead
from millstream.saving.capabilities import next_version
from millstream.saving.operations import PutWrites

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.constants import Missing
    from millstream.drivers.context import TaskContext
    from millstream.drivers.executor import SavedScope
    from millstream.executors.line import Line
    from millstream.outbox.write_ahead import WriteAheadLog


STORING: Final = ("put", "put_writes")
"""The methods of a saver that store something."""


class RemoteSaved(NamedTuple):
    """What nested graphs look for in a run that is saved."""

    scope: SavedScope
    saver: RemoteSaver
    stamps: Stamps
    lineage: Lineage
    answers: RemoteAnswers | None
    replay: RemoteReplay | None
    ahead: RemoteAhead | None


def reach(saved: SavedScope, line: Line) -> RemoteSaved:
    """Return what stands for the saved state of a run at the other end of a line."""
    saver, stamps = RemoteSaver(line), Stamps()
    stamps.see(saved.highest_id)
    return RemoteSaved(
        saved,
        saver,
        stamps,
        Lineage(stamps.stamp, saver.get_next_version, {}, id=saved.lineage_id),
        RemoteAnswers(saved, line) if saved.has_answers else None,
        None if saved.replayed_id is None else RemoteReplay(saved.replayed_id, line=line),
        RemoteAhead(line) if saved.has_log_ahead else None,
    )


class RemoteSaver(BaseCheckpointSaver[Any]):
    """The saver of the run: what it is asked is carried out where that is."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        allowed: frozenset[tuple[str, ...]] = getattr(
            self, "_allowed", frozenset()
        )  # of a view of it, see `wire`
        return self._line.ask(SaverAsked(method, args, kwargs, allowed))

    async def _aask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self._ask, method, *args, **kwargs)

    def get_next_version(self, current: Any, channel: None = None) -> Any:
        """Ask for the version after another one."""
        return self._ask("get_next_version", current, channel)

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Ask for a checkpoint."""
        found: CheckpointTuple | None = self._ask("get_tuple", config)
        return found

    def list(self, config: Any, **kwargs: Any) -> Iterator[CheckpointTuple]:
        """Ask for checkpoints."""
        return iter(self._ask("list", config, **kwargs))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Have a checkpoint stored."""
        return self._ask("put", config, checkpoint, metadata, new_versions)

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Have stored what a task wrote."""
        self._ask("put_writes", config, list_of(writes), task_id, task_path)

    def get_delta_channel_history(self, *, config: Any, channels: Sequence[str]) -> Any:
        """Ask for what values are rebuilt from."""
        return self._ask("get_delta_channel_history", config=config, channels=list_of(channels))

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        """Ask for a checkpoint."""
        found: CheckpointTuple | None = await self._aask("get_tuple", config)
        return found

    async def alist(self, config: Any, **kwargs: Any) -> AsyncIterator[CheckpointTuple]:
        """Ask for checkpoints."""
        for saved in await self._aask("list", config, **kwargs):
            yield saved

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Have a checkpoint stored."""
        return await self._aask("put", config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        """Have stored what a task wrote."""
        await self._aask("put_writes", config, list_of(writes), task_id, task_path)

    async def aget_delta_channel_history(self, *, config: Any, channels: Sequence[str]) -> Any:
        """Ask for what values are rebuilt from."""
        ask = "get_delta_channel_history"
        return await self._aask(ask, config=config, channels=list_of(channels))


def list_of(values: Iterable[Any]) -> Any:
    """Return values as a list, in a class that has a method of that name."""
    return list(values)


class RemoteAnswers(Answers):
    """The answers of the run: a bare one is with whoever takes it first, wherever that is."""

    __slots__ = ("_line",)

    def __init__(self, saved: SavedScope, line: Line) -> None:
        super().__init__(None)
        self._line, self._question = line, saved.answered_question
        self._by_id = None
        if saved.answered_ids is not None:
            self._by_id = RemoteAnswersById(saved.answered_ids, line)

    def _named(self, question: str) -> Any | Missing:
        if self._by_id is not None:
            return super()._named(question)
        return self._line.ask(AnswerNamed(question)) if question == self._question else MISSING

    def take(self, tasks: Iterable[str], *, is_own: bool = True) -> Any | Missing:
        """Ask for the bare value."""
        if self._by_id is not None:
            return MISSING
        return self._line.ask(AnswerTaken(tuple(tasks), is_own))


class RemoteAnswersById(Mapping[str, Any]):
    """Which questions were answered; the answers are asked for, because few are wanted here."""

    def __init__(self, ids: frozenset[str], line: Line) -> None:
        self._ids, self._line = ids, line

    def __getitem__(self, question: str) -> Any:
        if question not in self._ids:
            raise KeyError(question)
        return self._line.ask(AnswerNamed(question))

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, question: object) -> bool:
        return question in self._ids


class RemoteReplay(Replay):
    """A past that is being run again: who goes into it first is known where the run is."""

    def __init__(self, checkpoint_id: str, *, line: Line) -> None:
        super().__init__(checkpoint_id)
        self._line = line

    def visit(self, ns: str) -> bool:
        """Ask whether the namespace is entered for the first time."""
        is_first: bool = self._line.ask(NamespaceVisited(ns))
        return is_first


@dataclass(frozen=True, slots=True)
class SaverAsked(NodeEvent):
    """A graph that the node calls uses the saver of the run."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    allowed: frozenset[tuple[str, ...]]
    """The classes of its state."""

    @property
    def what(self) -> str:
        """What is sent, for those who are told that it cannot be."""
        return "what a graph that it calls saves"

    async def deliver(self, context: TaskContext) -> Any:
        """Ask it, and have a log ahead store first what was told of what is stored."""
        ahead = context.run.request.ahead
        if ahead is None or self.method not in STORING:
            return await self._ask(context)
        if context.run.waits.is_async:
            # What the log waits for may come from the node, whose events are not to wait for this.
            return asyncio.ensure_future(self._ask_behind(ahead, context))
        if context.promises is not None and not context.promises.are_bound:
            return self._ask_beside(ahead, context)
        ahead.flush()
        return await self._ask(context)

    async def _ask_behind(self, ahead: WriteAheadLog, context: TaskContext) -> Any:
        await ahead.aflush()
        return await self._ask(context)

    def _ask_beside(self, ahead: WriteAheadLog, context: TaskContext) -> Future[Any]:
        """Do the same in a thread, for a run that has no event loop."""
        ended: Future[Any] = Future()

        def work() -> None:
            result, failure = None, None
            try:
                ahead.flush()
                result = finish(self._ask, context)
            except BaseException as error:  # the task is told
                failure = error
            resolve(ended, result, failure)

        run = copy_context().run
        Thread(target=run, args=(work,), name="millstream-store", daemon=True).start()
        return ended

    async def _ask(self, context: TaskContext) -> Any:
        """Ask the saver; untracked values of the run are not for it, under whatever name."""
        from millstream.wire import wired

        run, args = context.run, list(self.args)
        assert run.saver is not None, "a run without a saver gives its nodes none"
        saver: Any = wired(run.saver, self.allowed)
        untracked = None if run.recorder is None else run.recorder.untracked
        if untracked is not None and self.method == "put":
            args[1], args[2] = untracked.from_checkpoint(args[1]), untracked.from_values(args[2])
        elif untracked is not None and self.method == "put_writes":
            args[1] = untracked.from_writes(args[1])
        if self.method == "get_next_version":
            return next_version(saver)(args[0])
        if self.method == "list":
            return await run.waits.list_saved(saver, *args, **self.kwargs)
        if self.method == "put_writes":
            return await run.waits.store(PutWrites(*args), saver)
        return await run.waits.ask_saver(saver, self.method, *args, **self.kwargs)


@dataclass(frozen=True, slots=True)
class AnswerNamed(NodeEvent):
    """A question of a graph that the node calls is asked again, which a person has answered."""

    question: str

    async def deliver(self, context: TaskContext) -> Any:
        """Take the answer, if nobody has."""
        answers = context.run.machine.answers
        return MISSING if answers is None else answers.take_named(self.question)


@dataclass(frozen=True, slots=True)
class AnswerTaken(NodeEvent):
    """A task of a graph that the node calls asks: is the bare value for it?"""

    tasks: tuple[str, ...]
    is_own: bool

    async def deliver(self, context: TaskContext) -> Any:
        """Take it, if nobody has."""
        answers = context.run.machine.answers
        if answers is None:
            return MISSING
        return answers.take([*self.tasks, *tasks_around(context)], is_own=self.is_own)


@dataclass(frozen=True, slots=True)
class NamespaceVisited(NodeEvent):
    """A graph that the node calls goes on from the past."""

    ns: str

    async def deliver(self, context: TaskContext) -> bool:
        """Say whether it is the first time."""
        replay = context.run.replay
        return replay is not None and replay.visit(self.ns)
