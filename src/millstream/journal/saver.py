"""The saver that programs give to their graphs, whatever keeps its rows."""

from __future__ import annotations

import asyncio
import os
import random
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from typing_extensions import Self

from millstream._base.bounded import BoundedDict
from millstream.core.checkpoints import UNKNOWN
from millstream.journal import upkeep
from millstream.journal.arguments import config_of, keep_of, listing_of, now, since
from millstream.journal.calls import Handover, once, put_call, target_of, writes_call
from millstream.journal.carrying import Blocking, finish, read
from millstream.journal.deltas import read_history
from millstream.journal.drafts import Call
from millstream.journal.following import Follower, store_awaiting, store_here
from millstream.journal.guards import Guard
from millstream.journal.listing import Listing
from millstream.journal.reading import Requests, read_checkpoint, read_page
from millstream.journal.sealing import Sealing, sealing_of
from millstream.journal.ttl import TTL, Expiry, Sweeper
from millstream.journal.writing import Memory, note_read, store

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        DeltaChannelHistory,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from millstream.journal.rows import Owner
    from millstream.journal.storage import Storage

ResultT = TypeVar("ResultT")


class _Sealings(BoundedDict[int, "tuple[Any, Sealing]"]):
    """By identity of the serializer, which is kept so that nobody else gets it."""

    size = 8


class _Done:
    """What may be awaited, and is done."""

    def __await__(self) -> Iterator[Any]:
        return iter(())


_DONE: Final = _Done()


class Journal(BaseCheckpointSaver[Any]):
    """A saver that stores what has changed, once, and a superstep in one transaction.

    Sync and async methods may be mixed, from any thread and event loop. `on_conflict` says what
    happens when two runs go on with a thread at once: the slower one gets a `ThreadBusyError`, or
    begins a branch (`"fork"`), as with LangGraph's savers.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: Literal["error", "fork"] = "error",
        ttl: TTL | None = None,
        guard: Guard | None = None,
    ) -> None:
        super().__init__(serde=serde)
        if on_conflict not in ("error", "fork"):
            raise ValueError(f"on_conflict is 'error' or 'fork', not {on_conflict!r}")
        self._expiry = None if ttl is None else Expiry(ttl)
        self._storage = storage
        self._begin()
        _JOURNALS.add(self)
        self._may_fork = on_conflict == "fork"
        self._guard = guard
        """Says who may store, where the storage can tell."""
        self._sealings = _Sealings()
        self._sweeper: Sweeper | None = None
        if self._expiry is not None and self._expiry.interval is not None:
            self._sweeper = Sweeper(self, type(self).sweep_ttl, self._expiry.interval)

    def _begin(self) -> None:
        """Know nothing, and have nobody write: that of another process is its own."""
        self._lane = self._storage.make_lane()
        self._memory = Memory()

    def setup(self) -> _Done:
        """Do nothing, for programs that call it, or await it, as they do with other savers."""
        return _DONE

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, and can store and read nothing more."""
        return self._storage.is_closed

    def close(self) -> None:
        """Let go of the database; calling it again does nothing."""
        if self._sweeper is not None:
            self._sweeper.end()
        self._storage.close()

    async def aclose(self) -> None:
        """Let go of the database; calling it again does nothing."""
        if self._sweeper is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._sweeper.end)
        await self._storage.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    # -- storing ---------------------------------------------------------------------------------

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and return the config that names it."""
        self.put_together([("put", (config, checkpoint, metadata, new_versions))])
        return config_of(config, checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and return the config that names it."""
        await self.aput_together([("put", (config, checkpoint, metadata, new_versions))])
        return config_of(config, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, next to a checkpoint."""
        self.put_together([("put_writes", (config, writes, task_id, task_path))])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, next to a checkpoint."""
        await self.aput_together([("put_writes", (config, writes, task_id, task_path))])

    def put_together(
        self,
        calls: Sequence[tuple[str, tuple[Any, ...]]],
        *,
        expects: Any = UNKNOWN,
        by: Follower | None = None,
    ) -> None:
        """Store what calls of `put` and `put_writes` would, in one transaction.

        Each call is the name of the method and its arguments; `put` may have one more, see
        `PutCall.seers`. `expects` is a namespace and the id
        of what whoever stores takes for its newest checkpoint, None if for none: if it is another,
        nothing is stored. `by` is the run that stores.
        """
        handover = self._handover(calls, expects, by)
        if by is None or not store_here(handover, self._memory.lines, self._lane, self._storage):
            self._lane.run(lambda: store(self._memory, handover))

    async def aput_together(
        self,
        calls: Sequence[tuple[str, tuple[Any, ...]]],
        *,
        expects: Any = UNKNOWN,
        by: Follower | None = None,
    ) -> None:
        """Store what calls of `put` and `put_writes` would, in one transaction."""
        handover = self._handover(calls, expects, by)
        place = self._memory.lines, self._lane, self._storage
        is_stored = by is not None and (
            store_here(handover, *place, may_wait=False) or await store_awaiting(handover, *place)
        )
        if not is_stored:
            await self._lane.arun(lambda: store(self._memory, handover))

    def follower(self, config: RunnableConfig) -> Follower:
        """Return what stands for a run that stores with a config, but for checkpoints' ids."""
        return Follower(config, self._owner())

    def get_next_version(self, current: Any, channel: None = None) -> Any:
        """Return the version after another one: numbers, or LangGraph's texts where those are."""
        if current is None:
            return 1
        if isinstance(current, str):
            number, _, rest = current.partition(".")
            return f"{int(number) + 1:032}.{random.random():016}" if rest else str(int(number) + 1)
        return current + 1

    # -- reading ---------------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, the newest one if it names none."""
        return self._read(lambda: self._get_tuple(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, the newest one if it names none."""
        return await self._aread(lambda: self._get_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, the newest first; reads as many as are asked for."""
        listing = listing_of(config, filter, before, limit)
        while not listing.ended:
            yield from self._read_page(listing)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield checkpoints, the newest first; reads as many as are asked for."""
        listing = listing_of(config, filter, before, limit)
        while not listing.ended:
            for found in await self._aread(lambda: read_page(listing, self._sealing())):
                yield found

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return what was written to channels since each had a value that is stored."""
        return self._read(lambda: read_history(target_of(config), channels, self._sealing()))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return what was written to channels since each had a value that is stored."""
        return await self._aread(lambda: read_history(target_of(config), channels, self._sealing()))

    # -- upkeep ----------------------------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread, and all that only it had."""
        self._lane.run(lambda: upkeep.delete_thread(self._memory, str(thread_id), self._sealing()))

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a thread, and all that only it had."""
        await self._lane.arun(
            lambda: upkeep.delete_thread(self._memory, str(thread_id), self._sealing()),
            is_long=True,
        )

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Give another thread all checkpoints of one; both share what they have in common."""
        self._lane.run(self._copying(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Give another thread all checkpoints of one; both share what they have in common."""
        await self._lane.arun(self._copying(source_thread_id, target_thread_id), is_long=True)

    def prune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: str = "keep_latest",
        older_than: timedelta | datetime | None = None,
    ) -> None:
        """Keep only the newest checkpoint of each namespace, or with "delete" none.

        With `older_than`, what is younger is kept too.
        """
        keep = keep_of(strategy, older_than)
        self._lane.run(lambda: self._prune(thread_ids, keep))

    async def aprune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: str = "keep_latest",
        older_than: timedelta | datetime | None = None,
    ) -> None:
        """Keep only the newest checkpoint of each namespace, or with "delete" none."""
        keep = keep_of(strategy, older_than)
        await self._lane.arun(lambda: self._prune(thread_ids, keep), is_long=True)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that some runs have made."""
        ids = [str(id) for id in run_ids]
        self._lane.run(lambda: upkeep.delete_for_runs(self._memory, ids, self._sealing()))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that some runs have made."""
        ids = [str(id) for id in run_ids]
        await self._lane.arun(
            lambda: upkeep.delete_for_runs(self._memory, ids, self._sealing()),
            is_long=True,
        )

    def delete_untouched(self, age: timedelta) -> None:
        """Remove threads that nobody has written to for so long."""
        until = since(age)
        self._lane.run(lambda: upkeep.delete_untouched(self._memory, until, self._sealing()))

    async def adelete_untouched(self, age: timedelta) -> None:
        """Remove threads that nobody has written to for so long."""
        until = since(age)
        await self._lane.arun(
            lambda: upkeep.delete_untouched(self._memory, until, self._sealing()), is_long=True
        )

    def sweep_ttl(self) -> int:
        """Throw away what the journal's `ttl` says is over; return of how many threads."""
        expiry = self._given_expiry()
        until = since(expiry.age)
        return self._lane.run(lambda: expiry.sweep(self._memory, until, self._sealing()))

    async def asweep_ttl(self) -> int:
        """Throw away what the journal's `ttl` says is over; return of how many threads."""
        expiry = self._given_expiry()
        until = since(expiry.age)
        return await self._lane.arun(
            lambda: expiry.sweep(self._memory, until, self._sealing()), is_long=True
        )

    # -- in common -------------------------------------------------------------------------------

    def _handover(
        self,
        calls: Sequence[tuple[str, tuple[Any, ...]]],
        expects: Any,
        by: Follower | None = None,
    ) -> Handover:
        """Serialize what is to be stored, in the thread of whoever wants it."""
        sealing = self._sealing()
        dump = sealing.serde.dumps_typed
        made: list[Call]
        if by is not None and expects is not UNKNOWN:
            made = by.calls(calls, dump)
            return Handover(made, sealing, now(), expects, self._may_fork, by.owner)
        if len(calls) > 1:
            dump = once(dump)
        made = []
        for name, arguments in calls:
            if name == "put":
                made.append(put_call(dump, *arguments))
            elif name == "put_writes":
                made.append(writes_call(dump, *arguments))
            else:
                raise ValueError(f"put_together takes calls of put and put_writes, not of {name!r}")
        owner = self._owner() if by is None else by.owner
        heads = self._memory.readers.heads() if expects is UNKNOWN else {}
        return Handover(made, sealing, now(), expects, self._may_fork, owner, heads)

    def _owner(self) -> Owner | None:
        return None if self._guard is None else self._guard.owner()

    def _copying(self, source: str, target: str) -> Callable[[], Requests[None]]:
        at = now()
        return lambda: upkeep.copy_thread(self._memory, str(source), str(target), at)

    def _prune(self, thread_ids: Sequence[str], keep: upkeep.Keep) -> Requests[None]:
        ids = [str(id) for id in thread_ids]
        return upkeep.prune_threads(self._memory, ids, keep, self._sealing())

    def _given_expiry(self) -> Expiry:
        if self._expiry is None:
            raise ValueError("This journal has no ttl: give it one, as ttl={'default_ttl': 60}")
        return self._expiry

    def _get_tuple(self, config: RunnableConfig) -> Requests[CheckpointTuple | None]:
        thread_id, ns, id = target_of(config)
        sealing = self._sealing()
        known = self._memory.lines.get((thread_id, ns))
        read = yield from read_checkpoint(thread_id, ns, id, sealing, known)
        if read is None:
            if id is None:
                self._memory.note_given(thread_id, ns, None, is_named=False)
            return None
        self._memory.note_given(thread_id, ns, read.state.id, is_named=id is not None)
        self._lane.try_now(lambda: note_read(self._memory, read))
        return read.made

    def _read_page(self, listing: Listing) -> Sequence[CheckpointTuple]:
        return self._read(lambda: read_page(listing, self._sealing()))

    def _sealing(self) -> Sealing:
        """Return how values are stored with today's serializer, which a program may replace."""
        serde = self.serde
        known = self._sealings.get(id(serde))
        if known is None:
            known = self._sealings[id(serde)] = (serde, sealing_of(serde))
        return known[1]

    def _read(self, make: Callable[[], Requests[ResultT]]) -> ResultT:
        return finish(read, make, Blocking(self._storage))

    async def _aread(self, make: Callable[[], Requests[ResultT]]) -> ResultT:
        return await read(make, self._storage.acarry_out)


_JOURNALS: Final[weakref.WeakSet[Journal]] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Have journals begin anew in a process that was forked.

    Numbers of lines that were reserved are those of the process that it was forked from, and so is
    whoever was writing there.
    """
    for journal in tuple(_JOURNALS):
        journal._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
