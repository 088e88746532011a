"""What a recording does to its run: nothing; and what reaches the file, however the run ends."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

import waiting
from millstream.checkpoint.memory import InMemorySaver
from millstream.errors import GraphRecursionError
from millstream.graph import START, StateGraph
from millstream.recording import Recording, writing
from millstream.recording.reading import RecordedRun
from millstream.runtime import RunControl
from millstream.types import StreamWriter, interrupt


class State(TypedDict, total=False):
    n: int


def graph_of(node: Any, **options: Any) -> Any:
    """Return a graph with one node."""
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile(**options)


def count(state: State, writer: StreamWriter) -> State:
    """Emit, and count."""
    writer({"seen": state["n"]})
    return {"n": state["n"] + 1}


def lines_of(file: io.BytesIO) -> list[dict[str, Any]]:
    """Return the lines of a recording that is whole."""
    return [json.loads(line) for line in gzip.decompress(file.getvalue()).splitlines()]


def test_a_file_that_is_there_is_not_written_over(driver: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    graph = graph_of(count)
    driver.invoke(graph, {"n": 1}, record=path)
    before = path.read_bytes()

    with pytest.raises(FileExistsError, match=r"not written over .*run\.jsonl\.gz"):
        driver.invoke(graph, {"n": 1}, record=str(path))

    assert path.read_bytes() == before


def test_what_is_no_file_is_refused_before_anything_happens() -> None:
    with pytest.raises(TypeError, match="record must be a path, a binary file or a Recording"):
        graph_of(count).invoke({"n": 1}, record=3)


def test_no_file_is_made_for_a_stream_that_nobody_reads(tmp_path: Path) -> None:
    graph_of(count).stream({"n": 1}, record=tmp_path / "run").close()

    assert not list(tmp_path.iterdir())


def test_the_result_is_that_of_a_run_without(driver: Any) -> None:
    graph = graph_of(count)

    assert driver.invoke(graph, {"n": 1}, record=io.BytesIO()) == driver.invoke(graph, {"n": 1})
    got = driver.stream(graph, {"n": 1}, stream_mode="values", output_keys="n", record=io.BytesIO())
    assert got == [1, 2]


def test_what_a_node_changes_after_it_was_emitted_is_recorded_as_it_was(driver: Any) -> None:
    def node(state: State, writer: StreamWriter) -> State:
        shown = {"n": 0}
        for _ in range(3):
            shown["n"] += 1
            writer(shown)
        return {}

    driver.invoke(graph_of(node), {"n": 1}, record=(file := io.BytesIO()))

    got = [part[2]["n"] for _, part in RecordedRun(file).read(["custom"])]
    assert got == [1, 2, 3]


def ask(state: State) -> State:
    """Ask a person."""
    return {"n": interrupt("how many?")}


def fail(state: State) -> State:
    """Fail."""
    raise ValueError("no")


@pytest.mark.parametrize(
    ("node", "options", "status"),
    [
        (count, {}, "success"),
        (ask, {}, "interrupted"),
        (fail, {}, "error"),
        (count, {"interrupt_before": ["node"]}, "interrupted"),
    ],
)
def test_the_last_line_says_how_the_run_has_ended(
    driver: Any, node: Any, options: Any, status: str
) -> None:
    graph, file = graph_of(node, checkpointer=InMemorySaver()), io.BytesIO()
    config = {"configurable": {"thread_id": "1", "key": "secret"}}
    try:
        driver.invoke(graph, {"n": 1}, config, record=file, **options)
    except ValueError:
        assert status == "error"

    lines = lines_of(file)

    assert lines[-1]["end"] == status
    assert lines[0]["configurable"] == {"thread_id": "1"}
    assert "secret" not in str(lines[0])


def test_a_run_that_is_drained_or_out_of_steps_says_so(driver: Any) -> None:
    control, file = RunControl(), io.BytesIO()

    def node(state: State) -> State:
        control.request_drain("enough")
        return {"n": 1}

    builder = StateGraph(State).add_node("a", node).add_node("b", node)
    graph = builder.add_edge(START, "a").add_edge("a", "b").compile()
    with pytest.raises(Exception, match="enough"):
        driver.invoke(graph, {"n": 1}, control=control, record=file)
    assert lines_of(file)[-1]["end"] == "drained"

    graph = builder.add_edge("b", "a").compile()
    with pytest.raises(GraphRecursionError):
        driver.invoke(graph, {"n": 1}, {"recursion_limit": 3}, record=(file := io.BytesIO()))
    assert lines_of(file)[-1]["end"] == "error"


def test_a_stream_that_is_left_is_cancelled() -> None:
    graph, file = graph_of(count), io.BytesIO()
    items = graph.stream({"n": 1}, stream_mode="custom", record=file)
    next(items)
    items.close()

    assert lines_of(file)[-1]["end"] == "cancelled"


async def read_one(graph: Any, file: io.BytesIO) -> None:
    """Leave a stream after an item."""
    async with aclosing(graph.astream({"n": 1}, stream_mode="custom", record=file)) as items:
        async for _ in items:
            return


def test_an_async_stream_that_is_left_is_cancelled() -> None:
    file = io.BytesIO()

    asyncio.run(read_one(graph_of(count), file))

    assert lines_of(file)[-1]["end"] == "cancelled"


def test_what_was_told_is_in_the_file_while_the_run_goes_on(tmp_path: Path) -> None:
    path, is_seen = tmp_path / "run.jsonl.gz", threading.Event()

    def node(state: State, writer: StreamWriter) -> State:
        writer("before")
        assert is_seen.wait(60)
        return {}

    def is_there() -> bool:
        try:
            return "before" in [part[2] for _, part in RecordedRun(path).read(["custom"])]
        except (ValueError, FileNotFoundError):
            return False  # not even the first line

    with graph_of(node).start({"n": 1}, record=path) as run:
        waiting.until(is_there)
        assert RecordedRun(path).read().status == "truncated"
        is_seen.set()
        run.wait()

    reading = RecordedRun(path).read()
    list(reading)
    assert reading.status == "success"


def test_a_filter_sees_every_line_and_says_what_is_written(driver: Any) -> None:
    seen: list[dict[str, Any]] = []

    def hide(line: dict[str, Any]) -> dict[str, Any] | None:
        seen.append(line)
        if line.get("mode") == "values":
            return None
        text = json.dumps(line).replace("sk-12345", "[key]")
        return dict(json.loads(text))

    def node(state: Any, writer: StreamWriter) -> Any:
        writer("my key is sk-12345")
        return {}

    file = io.BytesIO()
    driver.invoke(graph_of(node), {"n": "sk-12345"}, record=Recording(file, filter=hide))

    lines = lines_of(file)
    assert b"sk-12345" not in gzip.decompress(file.getvalue())
    assert "values" in {line.get("mode") for line in seen}
    assert "values" not in {line.get("mode") for line in lines}
    assert {"recording", "end"} <= {key for line in seen for key in line}
    assert "my key is [key]" in [line.get("data") for line in lines]


def test_a_filter_that_fails_or_hides_all_leaves_lines_out(
    driver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(line: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    kept, left = io.BytesIO(), io.BytesIO()
    driver.invoke(graph_of(count), {"n": 1}, record=Recording(kept, filter=broken))
    driver.invoke(graph_of(count), {"n": 1}, record=Recording(left, filter=lambda line: None))

    assert {line["left_out"] for line in lines_of(kept)} == {"ZeroDivisionError"}
    assert [*RecordedRun(kept).read()] == []
    assert "its line is left out: ZeroDivisionError()" in caplog.text
    first, last = lines_of(left)
    assert set(first) == {"recording", "started"}
    assert set(last) == {"at", "end", "events"}


class Full(io.RawIOBase):
    """A file on a disk that is full."""

    name = "full"

    def writable(self) -> bool:
        """Say that it can be written, as files do."""
        return True

    def write(self, data: Any) -> int:
        """Refuse."""
        raise OSError(28, "No space left on device")


def test_a_run_goes_on_whose_recording_cannot_be_written(
    driver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "millstream.recording"):
        got = driver.invoke(graph_of(count), {"n": 1}, record=Full())

    assert got == {"n": 2}
    assert "The recording full has no more than was written" in caplog.text
    assert "No space left on device" in caplog.text


def test_who_tells_faster_than_is_written_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.recording.writing.MANY", 100)
    monkeypatch.setattr("millstream.recording.writing.TOO_MANY", 1000)

    def node(state: State, writer: StreamWriter) -> State:
        for number in range(2000):
            writer(number)
        return {}

    graph_of(node).invoke({"n": 1}, record=(file := io.BytesIO()))

    got = [part[2] for _, part in RecordedRun(file).read(["custom"])]
    assert got == list(range(2000))


def test_a_graph_that_cannot_be_drawn_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, file = graph_of(count), io.BytesIO()
    monkeypatch.setattr(graph, "get_graph", lambda **_: 1 / 0)

    graph.invoke({"n": 1}, record=file)

    assert lines_of(file)[0]["drawing"] is None


def test_metadata_of_a_message_are_written_once() -> None:
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    def node(state: State) -> State:
        model = GenericFakeChatModel(messages=iter([AIMessage("a b c d e f g h")]))
        model.invoke("hi")
        return {}

    graph_of(node).invoke({"n": 1}, record=(file := io.BytesIO()))

    lines = lines_of(file)
    defined = [line["define"] for line in lines if "langgraph_node" in line.get("value", ())]
    said = [line for line in lines if line.get("mode") == "messages"]
    assert defined == [1, 2]  # one for chunks, one for events of content blocks
    assert len(said) == 2  # the first and the last; what comes between is text alone
    assert {line["data"]["$tuple"][1]["$ref"] for line in said} == {1}


def test_lines_that_are_written_while_others_are_counted_take_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "MANY", 100)
    monkeypatch.setattr(writing, "TOO_MANY", 100)
    written = threading.Event()

    class File(io.BytesIO):
        def write(self, data: Any) -> int:
            count = super().write(data)
            written.set()
            return count

    class Counted(bytes):
        def __len__(self) -> int:
            written.wait()
            return super().__len__()

    writer = writing.LineWriter(File(), "run", is_owner=False)
    writer.start()
    writer.put(b"1" * 90)
    teller = threading.Thread(target=writer.put, args=(Counted(b"2" * 20),), daemon=True)
    teller.start()
    teller.join(20)

    assert not teller.is_alive()
    writer.close()
