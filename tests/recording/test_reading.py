"""A file is read as far as it is whole, and says where it ends; what is no recording is refused."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from millstream.graph import START, MessagesState, StateGraph
from millstream.recording.reading import Lines, RecordedRun, RecordingError
from millstream.types import StreamWriter


def recorded() -> bytes:
    """Return the recording of a short run."""

    def say(state: MessagesState, writer: StreamWriter) -> dict[str, Any]:
        for number in range(20):
            writer({"number": number, "text": "as it was" * 3})
        return {"messages": [("ai", "done")]}

    graph = StateGraph(MessagesState).add_node(say).add_edge(START, "say").compile()
    graph.invoke({"messages": "hi"}, record=(file := io.BytesIO()))
    return file.getvalue()


def compressed(*lines: Any) -> io.BytesIO:
    """Return a file with these lines."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return io.BytesIO(gzip.compress("".join(f"{text}\n" for text in texts).encode()))


HEADER = {"recording": 1, "started": 1_700_000_000_000_000}
EVENT = {"at": 5, "ns": [], "mode": "custom", "data": "x"}
END = {"at": 9, "end": "success", "events": 1}


def test_a_file_that_is_cut_anywhere_is_read_to_its_last_whole_event() -> None:
    whole = recorded()
    parts = [*RecordedRun(io.BytesIO(whole)).read()]
    assert len(parts) > 20

    counts = []
    for size in range(len(whole)):
        cut = io.BytesIO(whole[:size])
        try:
            reading = RecordedRun(cut).read()
        except RecordingError:
            assert not counts  # not even its first line is there
            continue
        got = [*reading]
        # The end of the compressed stream follows the last line.
        is_all = reading.status == "success"
        assert (reading.damage is None) is is_all
        assert got == parts[: len(got)]
        counts.append(len(got))

    assert counts == sorted(counts)
    assert counts[-1] == len(parts)


def test_damage_in_the_middle_ends_what_is_read() -> None:
    # A block of the second member of gzip that there is no such thing as.
    first = gzip.compress("".join(f"{json.dumps(each)}\n" for each in (HEADER, EVENT)).encode())
    whole = bytearray(gzip.compress(json.dumps(EVENT).encode()))
    whole[10:14] = b"\xff" * 4

    reading = RecordedRun(io.BytesIO(gzip.compress(b"") + first + bytes(whole))).read()
    got = [*reading]

    assert reading.status == "truncated"
    assert reading.damage
    assert len(got) == 1


def test_several_members_of_gzip_are_one_file() -> None:
    text = b"".join(json.dumps(line).encode() + b"\n" for line in (HEADER, EVENT, EVENT, END))
    members = b"".join(gzip.compress(text[i : i + 7]) for i in range(0, len(text), 7))

    reading = RecordedRun(io.BytesIO(members)).read()

    assert [part for _, part in reading] == [((), "custom", "x", None)] * 2
    assert reading.status == "success"


def test_gzip_itself_reads_a_recording() -> None:
    lines = [json.loads(line) for line in gzip.decompress(recorded()).splitlines()]

    assert lines[0]["recording"] == 1
    assert lines[-1]["end"] == "success"
    assert lines[-1]["events"] == len([line for line in lines if "mode" in line])


def test_what_is_not_known_is_passed_by() -> None:
    file = compressed(HEADER, {"new": 1}, {**EVENT, "more": 2}, {**END, "more": 3})

    assert [part[2] for _, part in RecordedRun(file).read()] == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no recording: it ends within what was compressed"),
        (b"hello", "is no recording: Error -3"),
        (gzip.compress(b""), "is no recording: it is empty"),
        (gzip.compress(b"[1]\n"), "line 1 of .* is no object"),
        (gzip.compress(b"{oops\n"), "line 1 of .* is no JSON"),
        (gzip.compress(b"{}\n"), "its first line does not say so"),
        (gzip.compress(b'{"recording": true, "started": 1}\n'), "does not say so"),
        (gzip.compress(b'{"recording": 2, "started": 1}\n'), "has version 2 of the format"),
    ],
    ids=["nothing", "text", "empty", "list", "no json", "object", "true", "version"],
)
def test_what_is_no_recording_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        RecordedRun(io.BytesIO(content))


@pytest.mark.parametrize(
    "line",
    [
        {"mode": "custom"},
        {**EVENT, "ns": 3},
        {**EVENT, "data": {"$message": "Nobody"}},
        {**EVENT, "data": {"$nothing": 1}},
        {"mode": "debug", "at": 1, "ns": [], "data": {"type": "task"}},
        {"mode": ["custom"], "at": 1, "ns": [], "data": 1},
        {**EVENT, "ns": "ab"},
        {**EVENT, "ns": [1]},
        {**EVENT, "at": "5"},
        {**EVENT, "at": 1 << 60},
        {**EVENT, "at": None},
        {"at": 5, "of": 1, "text": "x"},
        {"define": [], "value": 1},
        {"end": "somehow", "at": 1},
        {"end": [], "at": 1},
        {"end": "success", "at": 1.5},
    ],
    ids=json.dumps,
)
def test_a_line_that_is_no_event_is_named(line: dict[str, Any]) -> None:
    file = compressed(HEADER, EVENT, line, END)

    with pytest.raises(RecordingError, match="line 3 of BytesIO is no event"):
        list(RecordedRun(file).read())


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "namespace": 5},
        {**HEADER, "namespace": [5]},
        {**HEADER, "input": {"$message": "Nobody"}},
        {"$tuple": [], **HEADER},
        {**HEADER, "started": 1 << 60},
    ],
    ids=json.dumps,
)
def test_a_first_line_that_says_nothing_is_named(header: dict[str, Any]) -> None:
    with pytest.raises(RecordingError, match="line 1 of BytesIO is no beginning"):
        RecordedRun(compressed(header, END))


def test_definitions_that_refer_to_each_other_do_not_fill_the_memory() -> None:
    twice = [{"define": n, "value": [{"$ref": n - 1}] * 2} for n in range(2, 40)]
    file = compressed(HEADER, {"define": 1, "value": "x" * 100}, *twice, END)

    with pytest.raises(RecordingError, match="with what it refers to it has more than"):
        list(RecordedRun(file).read())


def test_a_line_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.recording.reading.MAX_LINE", 1 << 20)
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(compressor.compress(b"x" * (1 << 20)) for _ in range(16)) + compressor.flush()

    lines = Lines(io.BytesIO(bomb))

    assert list(lines) == []
    assert lines.damage == "a line has more than 1048576 bytes"


def test_a_path_is_opened_for_each_reading(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(recorded())
    run = RecordedRun(path)

    assert [*run.read()] == [*run.read()]
    path.unlink()  # nothing holds it open
    with pytest.raises(FileNotFoundError):
        list(run.read())


def test_what_is_no_file_is_named() -> None:
    with pytest.raises(TypeError, match=r"a recording is a path, or a file .*, not <object object"):
        Lines(object())  # type: ignore[arg-type]  # as arguments that changed their places
