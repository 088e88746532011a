"""`millstream replay` shows a recorded run again, and says what is wrong with a file."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from millstream.cli.session import numbered


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that records a run of one of the graphs of the fixture `millstream`."""

    def record_run(name: str, given: Any) -> str:
        path = tmp_path / f"{name}.jsonl.gz"
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "graphs", raising=False)
        graph = getattr(importlib.import_module("graphs"), name)
        if hasattr(graph, "compile"):
            graph = graph.compile()
        try:
            graph.invoke(given, record=path)
        except ZeroDivisionError:
            pass
        finally:
            # Not by `monkeypatch`, which would bring it back for the tests that follow.
            sys.modules.pop("graphs", None)
        return str(path)

    return record_run


def test_a_run_is_shown_as_it_was_shown(millstream: Any, record: Any) -> None:
    file = record("graph", {"x": 1})

    live = millstream("run", "graphs.py:graph", "--input", '{"x": 1}')
    again = millstream("replay", file)

    assert again.out.splitlines()[:3] == live.out.splitlines()[:3]
    assert (again.code, again.err) == (0, "")


def test_the_command_line_records(millstream: Any, tmp_path: Path) -> None:
    file = str(tmp_path / "run.jsonl.gz")

    live = millstream("run", "graphs.py:graph", "--input", '{"x": 1}', "--json", "--record", file)
    again = millstream("replay", file, "--json")
    twice = millstream("run", "graphs.py:graph", "--record", file)
    nowhere = millstream("run", "graphs.py:graph", "--record", f"{file}/run")
    never = millstream("run", "graphs.py:graph", "--record", str(tmp_path / ("x" * 256)))

    assert (live.code, again.out, again.code) == (0, live.out, 0)
    assert (twice.code, nowhere.code) == (2, 2)
    assert "there is such a file already" in twice.err
    assert "there is no directory" in nowhere.err
    assert never.complaint.endswith(": it cannot be made: File name too long")


def test_runs_that_answer_have_files_of_their_own() -> None:
    assert [str(numbered("a/run.jsonl.gz", n)) for n in (1, 2)] == [
        "a/run.jsonl.gz",
        "a/run-2.jsonl.gz",
    ]
    assert str(numbered("run", 3)) == "run-3"


def test_it_is_shown_in_any_mode(millstream: Any, record: Any) -> None:
    file = record("graph", {"x": 1})

    outcome = millstream("replay", file, "--json", "-m", "values", "--speed", "1000")

    assert [json.loads(line) for line in outcome.out.splitlines()] == [
        {"mode": "values", "ns": [], "data": {"x": 1}},
        {"mode": "values", "ns": [], "data": {"x": 2}},
    ]
    assert outcome.code == 0


def test_a_run_that_failed_fails(millstream: Any, record: Any) -> None:
    outcome = millstream("replay", record("failing", {"x": 0}), "--speed", "max")

    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("ZeroDivisionError: ")


def test_a_recording_that_was_cut_is_shown_as_far_as_it_goes(millstream: Any, record: Any) -> None:
    file = Path(record("graph", {"x": 1}))
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[:-1])))

    outcome = millstream("replay", str(file), "--json")

    assert len(outcome.out.splitlines()) == 2
    assert "ends before the run does" in outcome.err
    assert outcome.code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere cannot be read: No such file or directory"),
        (["graphs.py"], "graphs.py is no recording"),
        (["graphs.py", "--speed", "fast"], "--speed must be a number above 0, or max, not 'fast'"),
        (["graphs.py", "--speed", "-1"], "--speed must be a number above 0"),
        (["graphs.py", "-m", "oops"], "no stream mode 'oops'"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_a_line(
    millstream: Any, arguments: list[str], message: str
) -> None:
    outcome = millstream("replay", *arguments)

    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def data_of(text: str) -> list[Any]:
    """Return the data of lines of server-sent events."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line[:6] == "data: "]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize(
    ("protocol", "first", "last"),
    [
        ("ag-ui", {"type": "RUN_STARTED"}, {"type": "RUN_FINISHED"}),
        ("ai-sdk", {"type": "start"}, {"type": "finish"}),
        ("openai", {"object": "chat.completion.chunk"}, {"object": "chat.completion.chunk"}),
        ("openai-responses", {"type": "response.created"}, {"type": "response.completed"}),
        ("langchain", {"method": "values"}, {"method": "values"}),
        ("sse", {"add": {"x": 2}}, {"add": {"x": 2}}),
    ],
)
def test_it_is_shown_as_front_ends_get_it(
    millstream: Any, record: Any, protocol: str, first: Any, last: Any
) -> None:
    outcome = millstream("replay", record("graph", {"x": 1}), "--protocol", protocol)

    events = data_of(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    assert {key: events[0].get(key) for key in first} == first
    assert {key: events[-1].get(key) for key in last} == last


def test_frames_of_the_server_have_modes(millstream: Any, record: Any) -> None:
    options = ("--protocol", "sse", "-m", "values", "-m", "updates", "--subgraphs")
    outcome = millstream("replay", record("graph", {"x": 1}), *options)

    names = [line for line in outcome.out.splitlines() if line.startswith("event: ")]
    assert set(names) == {"event: values", "event: updates"}


@pytest.mark.parametrize("protocol", ["ag-ui", "sse"])
def test_a_run_that_failed_fails_in_a_protocol_too(
    millstream: Any, record: Any, protocol: str
) -> None:
    outcome = millstream("replay", record("failing", {"x": 1}), "--protocol", protocol)

    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.err
    assert outcome.err.count("division by zero") == 1
    if protocol == "ag-ui":
        assert data_of(outcome.out)[-1]["type"] == "RUN_ERROR"
    else:
        error = {"error": "ZeroDivisionError", "message": "division by zero"}
        assert data_of(outcome.out)[-1] == error
        assert outcome.out.splitlines()[-3] == "event: error"


def test_frames_say_that_a_recording_was_cut(millstream: Any, record: Any) -> None:
    file = Path(record("graph", {"x": 1}))
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[:-1])))

    outcome = millstream("replay", str(file), "--protocol", "sse")

    assert data_of(outcome.out)[-1]["error"] == "TruncatedRecordingWarning"
    assert "ends before the run does" in outcome.err
    assert outcome.code == 0


@pytest.mark.parametrize("protocol", ["ag-ui", "ai-sdk", "openai", "openai-responses"])
def test_a_fault_of_the_file_is_not_only_told_in_the_protocol(
    millstream: Any, tmp_path: Path, protocol: str
) -> None:
    event = {"at": 1, "ns": [], "mode": "values", "data": {"$message": "Nobody"}}
    file = tmp_path / "run.jsonl.gz"
    lines = [HEADER, event, {"at": 2, "end": "success", "events": 1}]
    file.write_bytes(gzip.compress("".join(f"{json.dumps(each)}\n" for each in lines).encode()))

    outcome = millstream("replay", str(file), "--protocol", protocol)

    assert "error" in outcome.out.lower()
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert "line 2 of" in outcome.err


HEADER = {"recording": 1, "started": 1_700_000_000_000_000}
SENSELESS = [
    {"at": 1, "ns": [], "mode": "updates", "data": [1]},
    {"at": 1, "ns": [], "mode": "messages", "data": 5},
    {"at": 1, "ns": [], "mode": "updates", "data": {"$message": "Nobody"}},
    {"at": 1, "ns": [], "mode": "debug", "data": {"type": 5}},
    {"at": 1, "ns": 7, "mode": "tasks", "data": {}},
    {"at": 1, "ns": ["a|b:\n"], "mode": "tasks", "data": {"id": {}}},
    {"end": "success"},
    "x",
]


@pytest.mark.parametrize("line", SENSELESS, ids=repr)
@pytest.mark.parametrize("protocol", [None, "sse", "ag-ui", "langchain"])
def test_a_line_without_sense_is_no_traceback(
    millstream: Any, tmp_path: Path, protocol: str | None, line: Any
) -> None:
    file = tmp_path / "run.jsonl.gz"
    lines = [HEADER, line, {"at": 2, "end": "success", "events": 1}]
    file.write_bytes(gzip.compress("".join(f"{json.dumps(each)}\n" for each in lines).encode()))
    in_modes = ("-m", "updates", "-m", "messages", "-m", "debug", "-m", "tasks", "--subgraphs")
    chosen = ("--protocol", protocol) if protocol else ()

    outcome = millstream(
        "replay", str(file), *chosen, *(in_modes if protocol in (None, "sse") else ())
    )

    assert outcome.code in (0, 2)
    assert "Traceback" not in outcome.err
    assert len(outcome.err.splitlines()) == (outcome.code == 2)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--protocol", "soap"], "--protocol must be one of ag-ui, ai-sdk, openai"),
        (["--protocol", "ag-ui", "-m", "values"], "has no stream modes"),
        (["--protocol", "ai-sdk", "--subgraphs"], "leave --subgraphs out"),
        (["--protocol", "sse", "--json"], "two forms"),
    ],
)
def test_protocols_that_there_are_not_are_refused(
    millstream: Any, record: Any, options: list[str], complaint: str
) -> None:
    outcome = millstream("replay", record("graph", {"x": 1}), *options)

    assert outcome.code == 2
    assert complaint in outcome.err
