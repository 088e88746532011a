"""The log of a run: order, readers, what is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from millstream.outbox.write_ahead import Place
from millstream.server.clock import Clock
from millstream.server.log import holds, thread_channel
from millstream.server.log.event_ids import format_id, parse_id
from millstream.server.log.hub import Logs
from millstream.server.log.run_log import (
    HELD_BYTES,
    HELD_EVENTS,
    KEPT_BYTES,
    KEPT_EVENTS,
    Entry,
    RunLog,
    RunReader,
)
from millstream.server.log.thread_channel import ThreadChannel, ThreadReader
from millstream.server.runs.reading import RunSource


def said(log: RunLog, *texts: str, mode: str = "custom") -> None:
    for text in texts:
        log.append(mode, mode, text.encode())


def data_of(frames: bytes) -> list[str]:
    return [line[6:].decode() for line in frames.split(b"\r\n") if line.startswith(b"data: ")]


def ids_of(frames: bytes) -> list[tuple[int, int]]:
    lines = frames.split(b"\r\n")
    return [parse_id(line[4:].decode()) for line in lines if line.startswith(b"id: ")]


def test_every_reader_gets_every_event_once_in_order() -> None:
    async def main() -> None:
        log = RunLog("r")
        early = RunReader(log, 0)
        said(log, "1", "2")
        late = RunReader(log, log.last)
        assert data_of(early.take()) == ["1", "2"]
        said(log, "3")
        assert data_of(early.take()) == ["3"]
        assert data_of(late.take()) == ["3"]
        assert late.take() == b""

    asyncio.run(main())


def test_a_reader_ends_when_it_has_read_a_closed_log() -> None:
    async def main() -> None:
        log = RunLog("r")
        reader = RunReader(log, 0)
        said(log, "1")
        log.close()
        assert not reader.is_over
        assert data_of(reader.take()) == ["1"]
        assert reader.is_over

    asyncio.run(main())


def test_trap_06_ids_are_unique_and_ordered_within_a_millisecond() -> None:
    async def main() -> list[tuple[int, int]]:
        log = RunLog("r", is_resumable=True)
        reader = RunReader(log, 0)
        said(log, *map(str, range(500)))
        log.reveal(log.last)
        return ids_of(reader.take())

    ids = asyncio.run(main())

    assert ids == sorted(set(ids))
    assert [seq for _, seq in ids] == list(range(1, 501))


def test_trap_05_frames_have_ids_only_if_the_stream_is_resumable() -> None:
    async def main() -> bytes:
        log = RunLog("r")
        reader = RunReader(log, 0)
        said(log, "1")
        return reader.take()

    assert b"id:" not in asyncio.run(main())


@pytest.mark.parametrize("text", ["-1", "0", "0-0", "", " -1 "])
def test_trap_05_these_ids_mean_the_beginning(text: str) -> None:
    assert parse_id(text) == (0, 0)


@pytest.mark.parametrize("text", ["abc", "1-2-3", "1-", "²", "-2", "9" * 40])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid last-event-id"):
        parse_id(text)


def test_ids_are_read_as_they_are_written() -> None:
    assert parse_id(format_id((1795217299192, 3))) == (1795217299192, 3)


def test_a_place_is_found_by_its_id() -> None:
    log = RunLog("r", is_resumable=True)
    said(log, "1", "2", "3")
    second = log.since(1)[0]

    assert log.seq_of(second.id) == 2
    assert log.seq_of((0, 0)) == 0
    assert log.seq_of((second.ms + 10_000, 0)) == 3


def test_what_a_lost_attempt_said_is_before_what_the_next_one_says() -> None:
    log = RunLog("r", is_resumable=True, last=(1000, 5))
    lost = (1001, 7)  # seen by a client, and never stored
    said(log, "6")

    assert log.since(0)[0].seq == 6
    assert log.since(0)[0].id > lost
    assert log.seq_of(lost) is None  # whoever has seen it reads on from what is stored


def test_trap_07_a_filter_leaves_metadata_out_and_errors_in() -> None:
    async def main() -> bytes:
        log = RunLog("r")
        reader = RunReader(log, 0, ["values"])
        log.append("metadata", "metadata", b"1")
        log.append("values", "values|a:1", b"2")
        log.append("custom", "custom", b"3")
        log.append("error", "error", b"4")
        return reader.take()

    assert data_of(asyncio.run(main())) == ["2", "4"]


def test_trap_15_messages_are_found_by_either_name() -> None:
    async def main() -> tuple[bytes, bytes]:
        log = RunLog("r")
        readers = [RunReader(log, 0, [mode]) for mode in ("messages", "messages-tuple")]
        log.append("messages-tuple", "messages", b"1")
        return readers[0].take(), readers[1].take()

    assert [data_of(frames) for frames in asyncio.run(main())] == [["1"], ["1"]]


def test_what_everybody_has_read_is_let_go() -> None:
    async def main() -> None:
        log = RunLog("r")
        slow, quick = RunReader(log, 0), RunReader(log, 0)
        for index in range(5 * KEPT_EVENTS):
            said(log, str(index))
            quick.take()
        assert log.base == 0  # the slow one has not read anything
        slow.take()
        slow.close()
        said(log, *map(str, range(2 * KEPT_EVENTS)))
        quick.take()
        assert log.base >= 5 * KEPT_EVENTS

    asyncio.run(main())


async def read_all(log: RunLog, reader: RunSource) -> list[str]:
    found = []
    while not reader.is_over:
        found += data_of(await reader.take())
    reader.close()
    return found


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.long), 10_000])
def test_what_a_slow_reader_has_not_come_to_is_not_in_memory_and_not_lost(size: int) -> None:
    """Where nothing is stored: it is in a file until it was read, and the file goes with it."""
    texts = [str(n).ljust(size, ".") for n in range(4 * HELD_EVENTS if size == 1 else 5_000)]

    async def main() -> None:
        log = RunLog("r")
        slow, slower = (RunSource(None, log, 0) for _ in range(2))  # type: ignore[arg-type]
        quick = RunReader(log, 0)
        most = 0
        seen: list[str] = []
        for start in range(0, len(texts), KEPT_EVENTS):
            said(log, *texts[start : start + KEPT_EVENTS])
            seen += data_of(quick.take())
            most = max(most, sum(len(entry.frame) for entry in log.since(0)))
            assert len(log.since(0)) <= HELD_EVENTS + KEPT_EVENTS
        assert most <= HELD_BYTES + KEPT_BYTES
        assert log.base > 0
        log.close()
        assert await read_all(log, slow) == texts
        assert await read_all(log, slower) == texts
        while texts[len(seen) :]:
            if quick.is_behind:
                entries = log.overflowed(quick.seq)
                quick.skip(entries[-1].seq)
                seen += data_of(b"".join(entry.frame for entry in entries))
            seen += data_of(quick.take())
        assert seen == texts
        assert log.overflowed(0)
        quick.close()
        assert not log.overflowed(0)  # nobody is left: the file is closed

    asyncio.run(main())


@pytest.mark.parametrize("uses_files", [True, False])
def test_where_no_file_can_be_written_memory_has_what_a_slow_reader_wants(
    uses_files: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object, **named: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    texts = [str(n) for n in range(3 * HELD_EVENTS)]

    async def main() -> list[str]:
        log = RunLog("r", uses_files=uses_files)
        source = RunSource(None, log, 0)  # type: ignore[arg-type]
        said(log, *texts)
        log.close()
        return await read_all(log, source)

    assert asyncio.run(main()) == texts
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == uses_files


def test_what_nobody_reads_is_not_kept() -> None:
    log = RunLog("r")
    said(log, *map(str, range(10 * KEPT_EVENTS)))

    assert len(log.since(0)) <= KEPT_EVENTS


def test_what_is_not_stored_is_kept() -> None:
    log = RunLog("r", is_resumable=True)
    said(log, *map(str, range(4 * KEPT_EVENTS)))
    kept = len(log.since(0))
    log.reveal(log.last)
    said(log, *map(str, range(KEPT_EVENTS)))

    assert kept == 4 * KEPT_EVENTS
    assert len(log.since(0)) <= 2 * KEPT_EVENTS


def test_a_reader_in_another_thread_misses_nothing() -> None:
    """Whatever the threads' turns, a reader that waits is woken for what it has not read."""

    async def main() -> list[str]:
        log = RunLog("r")
        reader = RunReader(log, 0)

        def work() -> None:
            said(log, *map(str, range(20_000)))
            log.close()

        thread = threading.Thread(target=work)
        thread.start()
        got: list[str] = []
        while True:
            reader.signal.clear()
            is_over = reader.is_over
            frames = reader.take()
            got += data_of(frames)
            if not frames:
                if is_over:
                    break
                await reader.signal.wait()
        thread.join()
        return got

    assert asyncio.run(main()) == [str(index) for index in range(20_000)]


def test_readers_of_a_thread_get_all_its_runs_with_ids() -> None:
    async def main() -> tuple[bytes, int]:
        logs = Logs()
        running = logs.open("run-0", "t")
        reader = logs.read_thread("t")
        said(running, "0")
        logs.close("run-0", "t")
        for name in ("run-1", "run-2"):
            log = logs.open(name, "t", is_resumable=name == "run-2")
            said(log, name)
            logs.close(name, "t")
        said(logs.open("other", "u"), "other")
        frames = reader.take()
        logs.leave("t", reader)
        return frames, len(logs._channels)

    frames, left = asyncio.run(main())

    ids = ids_of(frames)
    assert data_of(frames)[::2] == ["0", "run-1", "run-2"]
    assert all('"run_done"' in text for text in data_of(frames)[1::2])
    assert ids == sorted(set(ids))
    assert len(ids) == 6
    assert left == 0


def test_trap_27_a_thread_is_read_by_lifecycle_or_state_alone() -> None:
    async def main() -> list[list[str]]:
        logs = Logs()
        modes: tuple[tuple[str, ...], ...] = (
            (),
            ("run_modes",),
            ("lifecycle",),
            ("state_update",),
            ("lifecycle", "state_update"),
        )
        readers: list[ThreadReader] = [logs.read_thread("t", each) for each in modes]
        log = logs.open("r", "t")
        log.append("metadata", "metadata", b"begun")
        log.append("values", "values", b"said")
        logs.tell_state("t", b"state")
        return [data_of(reader.take()) for reader in readers]

    assert asyncio.run(main()) == [
        ["begun", "said"],
        ["begun", "said"],
        ["begun"],
        ["state"],
        ["begun", "state"],
    ]


def test_a_reader_of_a_thread_that_keeps_up_is_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_channel, "MAX_BACKLOG", 300)

    async def main() -> bool:
        channel = ThreadChannel("t")
        reader = ThreadReader(channel)

        class Counted(bytes):
            def __len__(self) -> int:
                # As another thread does that reads while this event is counted.
                if reader._waiting:
                    reader.take()
                return super().__len__()

        for seq in range(1, 20, 2):
            channel.follow(Entry(seq, 1, "custom", b"x" * 60))
            channel.follow(Entry(seq + 1, 1, "custom", Counted(b"x" * 60)))
            reader.take()
        return reader.is_over

    assert not asyncio.run(main())


def test_what_is_stored_of_a_resumable_run_is_read_and_no_more() -> None:
    async def main() -> tuple[list[int], list[int]]:
        logs = Logs()
        log = logs.open("r", "t", is_resumable=True)
        reader, thread = RunReader(log, 0), logs.read_thread("t")
        said(log, "1", "2", "3")
        log.reveal(2)
        return (
            [seq for _, seq in ids_of(reader.take())],
            [seq for _, seq in ids_of(thread.take())],
        )

    assert asyncio.run(main()) == ([1, 2], [1, 2])


def test_what_tells_of_something_is_read_when_that_is_stored() -> None:
    async def main() -> list[list[str]]:
        log = RunLog("r", is_resumable=True)
        reader, needs = RunReader(log, 0), []
        log.sink = lambda entry: needs.append(entry.needs)
        read = []

        def look() -> None:
            log.reveal(log.last)
            read.append(data_of(reader.take()))

        said(log, "0")
        first = log.hold()
        said(log, "1")
        first.bind(Place("", "c", "t"))
        look()
        nothing, second = log.hold(), log.hold()
        said(log, "2")
        second.bind(Place("", "d"))
        assert len(needs) == 2  # it is not known yet what the other one is for
        nothing.keep()
        second.keep()
        look()  # in their order
        first.keep()
        look()
        assert needs == [None, "\nc\nt\n", "\nd\n\n"]
        return read

    assert asyncio.run(main()) == [["0"], [], ["1", "2"]]


def test_what_follows_is_told_apart_from_what_tells_of_something() -> None:
    log, needs = RunLog("r", is_resumable=True), list[tuple[bytes, str | None]]()
    log.sink = lambda entry: needs.append((entry.frame.split(b"data: ")[1][:1], entry.needs))
    first = log.hold()
    said(log, "1")
    # A node in a thread of its own says something meanwhile, and graphs nested in others store.
    elsewhere(lambda: said(log, "2"))
    second = elsewhere(lambda: (log.hold(), said(log, "3"))[0])
    # The thread that has stored is over. This one may have its number, and has stored nothing.
    elsewhere(lambda: said(log, "4"))
    said(log, "5")
    first.bind(Place("", "c", "t"))
    second.bind(Place("n", "d"))
    said(log, "6")
    of_first, of_second = "\nc\nt\n", "n\nd\n\n"
    assert needs == [
        (b"1", of_first),
        (b"2", of_first + " behind"),
        (b"3", of_second),
        (b"4", of_second + " behind"),
        (b"5", of_first),
        (b"6", of_second + " behind"),
    ]
    assert [holds.read(text or "") for _, text in needs[:2]] == [Place("", "c", "t")] * 2
    assert [holds.is_behind(text or "") for _, text in needs[:2]] == [False, True]


def elsewhere(do: Callable[[], Any]) -> Any:
    """Return what a function returns in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do).result()


@pytest.mark.parametrize("is_bound", [False, True])
def test_what_is_held_back_when_a_run_is_given_up_is_never_read(is_bound: bool) -> None:
    async def main() -> None:
        log = RunLog("r", is_resumable=True)
        needs: list[str | None] = []
        log.sink = lambda entry: needs.append(entry.needs)
        reader = RunReader(log, 0)
        said(log, "1", "2")
        hold = log.hold()
        said(log, "3")
        if is_bound:
            hold.bind(Place("", "c"))
        log.cut()
        hold.bind(Place("", "c"))
        hold.keep()
        said(log, "left behind")
        log.reveal(3)
        assert data_of(reader.take()) == ["1", "2"]
        # It goes on here.
        log.go_on()
        said(log, "4")
        log.reveal(3)
        assert data_of(reader.take()) == ["4"]
        assert needs == [None, None, *(["\nc\n\n"] if is_bound else []), None]

    asyncio.run(main())


def test_a_log_that_is_over_holds_nothing_back() -> None:
    async def main() -> list[str]:
        logs = Logs()
        log = logs.open("r", "t", is_resumable=True)
        reader = RunReader(log, 0)
        log.hold()
        said(log, "1")
        logs.close("r", "t")
        return data_of(reader.take())

    assert asyncio.run(main()) == ["1"]


def test_what_was_not_stored_of_a_run_that_was_given_up_is_not_shown() -> None:
    async def main() -> tuple[list[str], bool, list[str]]:
        logs = Logs()
        thread = logs.read_thread("t")
        log = logs.open("r", "t", is_resumable=True)
        reader = RunReader(log, 0)
        said(log, "1", "2")
        log.reveal(1)
        logs.close("r", "t", is_stored=False)
        said(log, "left behind")
        return data_of(reader.take()), reader.is_over, data_of(thread.take())

    assert asyncio.run(main()) == (["1"], True, ["1"])


def test_a_log_goes_on_after_what_was_said_before_whatever_the_clock_shows() -> None:
    log = RunLog("r", clock=Clock(lambda: 5.0))
    log.go_on_after(7000)
    assert log.append("m", "m", b"1").id == (7001, 1)
    log.go_on_after(6000)
    assert log.append("m", "m", b"2").id == (7001, 2)


def test_what_an_event_needs_is_read_as_it_was_written_whatever_nodes_are_called() -> None:
    place = Place("a\nnode:1|another\n:2", "checkpoint", "task")
    assert holds.read(holds.written(place)) == place
    assert holds.read(holds.written(Place("", "checkpoint"))) == Place("", "checkpoint")
