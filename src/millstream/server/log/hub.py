"""`Logs`: where the logs of the runs under way are found, and the channels of threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Protocol

from millstream._base.bounded import BoundedDict
from millstream.server import sse
from millstream.server.clock import Clock
from millstream.server.encoding import dumps
from millstream.server.log.event_ids import START, EventId
from millstream.server.log.run_log import METADATA, Entry, RunLog
from millstream.server.log.thread_channel import STATE_UPDATE, ThreadChannel, ThreadReader


class Watcher(Protocol):
    """Who is told of each run of a thread before it says anything."""

    def attach(self, log: RunLog, after: int) -> None:
        """Take the log of a run, which is to be read from a place on."""

    def end(self) -> None:
        """Come to an end: the server stops."""


class _Numbers(BoundedDict[str, int]):
    size = 10_000


class Logs:
    """The logs of this process. Used in the event loop that serves, but for appending."""

    def __init__(
        self,
        most_bytes: int | None = None,
        *,
        uses_files: bool = True,
        clock: Clock | None = None,
    ) -> None:
        """Make them; `most_bytes` is what an event may have.

        What slow readers have not come to is kept in files, or else in memory.
        """
        self._most_bytes = sys.maxsize if most_bytes is None else most_bytes
        self._uses_files = uses_files
        self._clock = clock or Clock()
        self._runs: dict[str, RunLog] = {}
        self._channels: dict[str, ThreadChannel] = {}
        self._by_thread: dict[str, set[RunLog]] = {}
        self._watchers: dict[str, list[Watcher]] = {}
        self._numbers = _Numbers()
        """The last protocol event of threads, which may have been deleted since."""
        self.on_readers: Callable[[str], object] = _nobody_asks
        """What is told of each thread that is read from now on, or no more."""
        self._ended_ms = 0
        """When the last event of a run that has ended was said."""

    def open(
        self, run_id: str, thread_id: str, *, is_resumable: bool = False, last: EventId = START
    ) -> RunLog:
        """Return the log of a run that is going to begin, always the same one."""
        log = self._runs.get(run_id)
        if log is None:
            log = self._runs[run_id] = RunLog(
                run_id,
                is_resumable=is_resumable,
                last=last,
                most_bytes=self._most_bytes,
                uses_files=self._uses_files,
                clock=self._clock,
            )
            # Later than the run before: what is said in a thread is ordered by its ids.
            log.go_on_after(self._ended_ms)
            log.follower = self._channels.get(thread_id)
            log.protocol_seq = self._numbers.get(thread_id, 0)
            self._by_thread.setdefault(thread_id, set()).add(log)
            for watcher in self._watchers.get(thread_id, ()):
                # What was said before is stored.
                watcher.attach(log, log.last)
        return log

    def get(self, run_id: str) -> RunLog | None:
        """Return the log of a run that has not ended."""
        return self._runs.get(run_id)

    def is_shown(self, run_id: str, seq: int) -> bool:
        """Say whether an event that is stored may be read."""
        log = self._runs.get(run_id)
        return log is None or seq <= log.shown

    def close(self, run_id: str, thread_id: str, *, is_stored: bool = True) -> None:
        """End the log of a run, after everything about its end is stored.

        Where that `is_stored` no more, because somebody else says it, or something else in its
        place, nobody reads what was not shown before.
        """
        log = self._runs.pop(run_id, None)
        if log is None:
            return
        if log.protocol_seq and is_stored:
            self._numbers[thread_id] = log.protocol_seq
        for waiting in self._remove(log, thread_id):
            # It says everything later than this one did.
            waiting.go_on_after(log.ms)
            waiting.protocol_seq = max(waiting.protocol_seq, log.protocol_seq)
        self._ended_ms = max(self._ended_ms, log.ms)
        if log.is_resumable and is_stored:
            log.holds.settle()
            log.reveal(log.last)
        if log.follower is not None and log.last and is_stored:
            done = dumps({"status": "run_done", "run_id": run_id})
            log.follower.follow(Entry(log.last + 1, log.ms, METADATA, sse.frame(METADATA, done)))
        log.close()

    def let_go(self, run_id: str, thread_id: str) -> None:
        """Forget the log of a run that goes on elsewhere, unless somebody reads it."""
        log = self._runs.get(run_id)
        if log is None or log.has_readers or log.follower is not None:
            return
        del self._runs[run_id]
        self._remove(log, thread_id)
        log.close()

    def _remove(self, log: RunLog, thread_id: str) -> Collection[RunLog]:
        """Take a log from those of its thread, and return those that are left."""
        logs = self._by_thread.get(thread_id, set())
        logs.discard(log)
        if not logs:
            self._by_thread.pop(thread_id, None)
        return logs

    def close_all(self) -> None:
        """End everything that is read here, when the server stops."""
        for thread_id, logs in list(self._by_thread.items()):
            for log in list(logs):
                self.close(log.run_id, thread_id)
        for channel in list(self._channels.values()):
            channel.end()
        for watchers in list(self._watchers.values()):
            for watcher in watchers:
                watcher.end()

    def watch(self, thread_id: str, watcher: Watcher) -> None:
        """Tell a watcher of the runs of a thread, those that are there already first."""
        self._watchers.setdefault(thread_id, []).append(watcher)
        self.on_readers(thread_id)
        for log in sorted(self._by_thread.get(thread_id, ()), key=lambda log: log.run_id):
            watcher.attach(log, 0)

    def unwatch(self, thread_id: str, watcher: Watcher) -> None:
        """Tell a watcher no more."""
        watchers = self._watchers.get(thread_id, [])
        if watcher in watchers:
            watchers.remove(watcher)
        if not watchers:
            self._watchers.pop(thread_id, None)
            self.on_readers(thread_id)

    def of_thread(self, thread_id: str) -> Collection[RunLog]:
        """Return the logs of the runs of a thread that have not ended."""
        return self._by_thread.get(thread_id, ())

    def speaking(self, thread_id: str) -> RunLog | None:
        """Return the log of the run that goes on in a thread, None if none does."""
        return next((log for log in self.of_thread(thread_id) if log.last), None)

    def is_watched(self, thread_id: str) -> bool:
        """Whether anybody is told of the runs of a thread."""
        return thread_id in self._watchers

    def read_thread(
        self, thread_id: str, modes: Collection[str] = (), after: EventId = START
    ) -> ThreadReader:
        """Return a reader of what is said in a thread from now on; close it with `leave`."""
        channel = self._channels.get(thread_id)
        if channel is None:
            channel = self._channels[thread_id] = ThreadChannel(thread_id)
            for log in self._by_thread.get(thread_id, ()):
                log.follower = channel
            self.on_readers(thread_id)
        return ThreadReader(channel, modes, after)

    def leave(self, thread_id: str, reader: ThreadReader) -> None:
        """Close a reader of a thread."""
        reader.close()
        channel = self._channels.get(thread_id)
        if channel is not None and not channel.has_readers:
            del self._channels[thread_id]
            for log in self._by_thread.get(thread_id, ()):
                log.follower = None
            self.on_readers(thread_id)

    def is_read(self, thread_id: str) -> bool:
        """Whether anybody reads what is said in a thread; from any thread."""
        return thread_id in self._channels

    def tell_thread(self, thread_id: str, mode: str, data: bytes) -> None:
        """Say something about a thread to whoever reads it."""
        channel = self._channels.get(thread_id)
        if channel is not None:
            # It belongs to no run: it has a time, and no place.
            entry = Entry(0, self._clock.ms(), mode, sse.frame(mode, data))
            channel.follow(entry)

    def tell_state(self, thread_id: str, data: bytes) -> None:
        """Say that the state of a thread was changed without a run."""
        self.tell_thread(thread_id, STATE_UPDATE, data)


def _nobody_asks(_: str) -> None:
    """Tell nobody: there are no other replicas."""
