"""`Logs`: where the logs of the runs under way are found, and the channels of threads."""

from __future__ import annotations

from collections.abc import Collection
from time import time_ns

from millstream.server import sse
from millstream.server.encoding import dumps
from millstream.server.log.event_ids import START, EventId
from millstream.server.log.run_log import METADATA, Entry, RunLog
from millstream.server.log.thread_channel import STATE_UPDATE, ThreadChannel, ThreadReader


class Logs:
    """The logs of this process. Used in the event loop that serves, but for appending."""

    def __init__(self) -> None:
        self._runs: dict[str, RunLog] = {}
        self._channels: dict[str, ThreadChannel] = {}
        self._by_thread: dict[str, set[RunLog]] = {}
        self._ended_ms = 0
        """When the last event of a run that has ended was said."""

    def open(
        self, run_id: str, thread_id: str, *, is_resumable: bool = False, last: EventId = START
    ) -> RunLog:
        """Return the log of a run that is going to begin, always the same one."""
        log = self._runs.get(run_id)
        if log is None:
            log = self._runs[run_id] = RunLog(run_id, is_resumable=is_resumable, last=last)
            # Later than the run before: what is said in a thread is ordered by its ids.
            log.ms = max(log.ms, self._ended_ms + 1)
            log.follower = self._channels.get(thread_id)
            self._by_thread.setdefault(thread_id, set()).add(log)
        return log

    def get(self, run_id: str) -> RunLog | None:
        """Return the log of a run that has not ended."""
        return self._runs.get(run_id)

    def close(self, run_id: str, thread_id: str) -> None:
        """End the log of a run, after everything about its end is stored."""
        log = self._runs.pop(run_id, None)
        if log is None:
            return
        logs = self._by_thread.get(thread_id)
        if logs is not None:
            logs.discard(log)
            if not logs:
                del self._by_thread[thread_id]
        self._ended_ms = max(self._ended_ms, log.ms)
        if log.follower is not None and log.last:
            done = dumps({"status": "run_done", "run_id": run_id})
            log.follower.follow(Entry(log.last + 1, log.ms, METADATA, sse.frame(METADATA, done)))
        log.close()

    def close_all(self) -> None:
        """End everything that is read here, when the server stops."""
        for thread_id, logs in list(self._by_thread.items()):
            for log in list(logs):
                self.close(log.run_id, thread_id)
        for channel in list(self._channels.values()):
            channel.end()

    def read_thread(
        self, thread_id: str, modes: Collection[str] = (), after: EventId = START
    ) -> ThreadReader:
        """Return a reader of what is said in a thread from now on; close it with `leave`."""
        channel = self._channels.get(thread_id)
        if channel is None:
            channel = self._channels[thread_id] = ThreadChannel(thread_id)
            for log in self._by_thread.get(thread_id, ()):
                log.follower = channel
        return ThreadReader(channel, modes, after)

    def leave(self, thread_id: str, reader: ThreadReader) -> None:
        """Close a reader of a thread."""
        reader.close()
        channel = self._channels.get(thread_id)
        if channel is not None and not channel.has_readers:
            del self._channels[thread_id]
            for log in self._by_thread.get(thread_id, ()):
                log.follower = None

    def tell_thread(self, thread_id: str, mode: str, data: bytes) -> None:
        """Say something about a thread to whoever reads it."""
        channel = self._channels.get(thread_id)
        if channel is not None:
            # It belongs to no run: it has a time, and no place.
            entry = Entry(0, time_ns() // 1_000_000, mode, sse.frame(mode, data))
            channel.follow(entry)

    def tell_state(self, thread_id: str, data: bytes) -> None:
        """Say that the state of a thread was changed without a run."""
        self.tell_thread(thread_id, STATE_UPDATE, data)
