"""Where a run is logged is for its owner to say."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from millstream.modes.encoders import encode_json
from millstream.modes.event import logged
from millstream.runs import Event, EventLog, EventReader
from millstream.runs.bell import Bell
from runs.starting import (
    IN_TIME,
    Starter,
    data,
    in_thread,
    row,
    say,
)

pytestmark = pytest.mark.timeout(30)


class FileLog:
    """A log of JSON lines in a file: what the protocol asks for, and of ours the bell alone."""

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        self.bell = Bell()
        self.is_closed = False
        self._path = path
        path.touch()

    def append(self, part: Any) -> Event:
        event = logged(part, len(self.read()) + 1, 0)
        with self._path.open("a") as file:
            file.write(json.dumps(encode_json(event)) + "\n")
        self.bell.ring()
        return event

    def read(self, after: int = 0, limit: int | None = None) -> list[Event]:
        lines = self._path.read_text().splitlines()[
            after : None if limit is None else after + limit
        ]
        found = [json.loads(line) for line in lines]
        return [
            Event(tuple(line["ns"]), line["mode"], line["data"], None, line["seq"], 0)
            for line in found
        ]

    def subscribe(self, after: int = 0) -> EventReader:
        return EventReader(self, after)

    def close(self, error: BaseException | None = None) -> None:
        self.error, self.is_closed = error, True
        self.bell.ring()


def test_a_run_is_logged_where_its_owner_says(starter: Starter, tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log")
    assert isinstance(log, EventLog)
    with starter.start(row(say(1), say(2)), log=log) as run:
        reading = in_thread(lambda: [(event.seq, event.data) for event in run.events()])
        run.wait(IN_TIME)
        expected = [(1, 1), (2, {"n0": {"log": [1]}}), (3, 2), (4, {"n1": {"log": [2]}})]
        assert reading() == expected

    assert [(event.seq, event.data) for event in log.subscribe()] == expected
    with pytest.raises(ValueError, match="The log is closed: give each run a log of its own"):
        starter.start(row(say(1)), log=log)


def test_a_log_that_fails_stops_the_run(starter: Starter, tmp_path: Path) -> None:
    class Failing(FileLog):
        def append(self, part: Any) -> Event:
            if len(self.read()) == 2:
                raise OSError("disk full")
            return super().append(part)

    sleeper = starter.sleeper()
    log = Failing(tmp_path / "log")
    with starter.start(row(say(1, 2), sleeper.node), log=log) as run:
        with pytest.raises(OSError, match="disk full"):
            run.wait(IN_TIME)
        assert (run.status, log.is_closed) == ("error", True)
        assert data(run.events()) == [1, 2]


def test_a_log_that_cannot_be_closed_is_an_error_and_readers_end(
    starter: Starter, tmp_path: Path
) -> None:
    class Failing(FileLog):
        def close(self, error: BaseException | None = None) -> None:
            raise OSError("disk full")

    with starter.start(row(say(1)), log=Failing(tmp_path / "log"), stream_mode="custom") as run:
        assert data(run.events()) == [1]
        with pytest.raises(OSError, match="disk full"):
            run.wait(IN_TIME)


def test_a_run_ends_at_once_for_everybody(starter: Starter, tmp_path: Path) -> None:
    """Who has read the last event, or sees the status of an end, can ask for the output."""

    class Slow(FileLog):
        def close(self, error: BaseException | None = None) -> None:
            super().close(error)
            closed.set()
            assert has_looked.wait(IN_TIME)

    closed, has_looked = threading.Event(), threading.Event()

    def read() -> Any:
        assert data(run.events()) == [1]
        return run.status, run.is_done, run.output

    options: Any = {"log": Slow(tmp_path / "log"), "stream_mode": "custom"}
    with starter.start(row(say(1)), **options) as run:
        reading = in_thread(read)
        assert closed.wait(IN_TIME)
        # It is known how the run has ended, and not yet whether its log could be closed.
        reader = run.events(after=1)
        assert (run.status, run.is_done, reader.fetch()) == ("running", False, False)
        has_looked.set()
        assert reading() == ("success", True, {"log": [1]})
