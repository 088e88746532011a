"""`millstream run` shows events, and its exit code says how the run ended."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millstream.modes.names import PUBLIC_MODES

MILL = """
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode


@tool
def mill(grain: str) -> str:
    '''Mill the grain.'''
    return "flour"


def ask(state):
    call = {"name": "mill", "args": {"grain": "rye"}, "id": "call 1"}
    return {"messages": AIMessage("", tool_calls=[call])}


builder = StateGraph(MessagesState).add_sequence([ask, ("tools", ToolNode([mill]))])
graph = builder.add_edge(START, "ask").compile()
"""


def events(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def test_live_view_shows_strings_as_they_are_and_updates_as_blocks(millstream: Any) -> None:
    outcome = millstream("run", "graphs.py:graph", "--input", '{"x": 1}')

    lines = outcome.out.splitlines()
    assert lines[:3] == ["x is 1", "● updates add", "    x: 2"]
    assert lines[3].startswith("done: 2 events in ")
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("target", ["graphs.py:graph", "graphs:builder", "graphs:make"])
def test_graphs_builders_and_functions_can_be_run(millstream: Any, target: str) -> None:
    outcome = millstream("run", target, "--input", '{"x": 1}', "--json")

    assert events(outcome.out) == [
        {"mode": "custom", "ns": [], "data": "x is 1"},
        {"mode": "updates", "ns": [], "data": {"add": {"x": 2}}},
    ]


def test_stream_modes_are_those_asked_for_in_the_order_of_the_run(millstream: Any) -> None:
    outcome = millstream(
        "run", "graphs:graph", "-i", '{"x": 1}', "-m", "values", "-m", "updates", "--json"
    )

    assert events(outcome.out) == [
        {"mode": "values", "ns": [], "data": {"x": 1}},
        {"mode": "updates", "ns": [], "data": {"add": {"x": 2}}},
        {"mode": "values", "ns": [], "data": {"x": 2}},
    ]


@pytest.mark.parametrize("mode", PUBLIC_MODES)
def test_every_stream_mode_can_be_asked_for(millstream: Any, mode: str) -> None:
    outcome = millstream("run", "graphs:graph", "-i", '{"x": 1}', "-m", mode, "--json")

    assert outcome.code == 0
    shown = {event["mode"] for event in events(outcome.out)}
    assert shown <= {mode}
    assert outcome.err.startswith("" if shown else f"millstream: -m {mode} has shown nothing: ")
    assert len(outcome.err.splitlines()) == len({mode} - shown)


def test_help_names_every_stream_mode(millstream: Any) -> None:
    words = " ".join(millstream("run", "--help").out.replace("│", " ").split())

    assert f"{', '.join(PUBLIC_MODES)}; repeatable." in words


def test_what_tools_do_is_shown_with_the_call_it_belongs_to(millstream: Any, folder: Path) -> None:
    (folder / "mills.py").write_text(MILL, encoding="utf-8")

    outcome = millstream("run", "mills:graph", "-m", "tools")

    assert outcome.code == 0
    shown = [line for line in outcome.out.splitlines() if line.startswith("●")]
    assert shown == ["● tools tool-started mill", "● tools tool-finished call 1"]


def test_async_nodes_need_nothing_special(millstream: Any) -> None:
    outcome = millstream("run", "graphs:only_async", "-i", '{"x": 1}', "--json")

    assert events(outcome.out) == [{"mode": "updates", "ns": [], "data": {"add_async": {"x": 2}}}]


def test_subgraphs_are_shown_with_their_namespace(millstream: Any) -> None:
    outcome = millstream(
        "run", "graphs:outer", "-i", '{"x": 1}', "-m", "updates", "--subgraphs", "--json"
    )

    inner, outer = events(outcome.out)
    assert inner["data"] == {"add": {"x": 2}}
    assert [part.split(":")[0] for part in inner["ns"]] == ["inner"]
    assert outer == {"mode": "updates", "ns": [], "data": {"inner": {"x": 2}}}


def test_json_lines_hold_any_object_and_nothing_that_nodes_print(millstream: Any) -> None:
    outcome = millstream("run", "graphs:shown", "--json", "-m", "custom")

    (event,) = events(outcome.out)
    assert sorted(event["data"]["seen"]) == [1, 2]
    assert event["data"]["why"] == {"error": "ValueError", "message": "no"}
    assert outcome.err == "printed by the node\n"


def test_input_comes_from_a_file_or_from_stdin(
    millstream: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "input.json").write_text('{"x": 10}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"x": 20}'))

    from_file = millstream("run", "graphs:graph", "-i", "@input.json", "-m", "values", "--json")
    from_stdin = millstream("run", "graphs:graph", "-i", "-", "-m", "values", "--json")

    assert [event["data"]["x"] for event in events(from_file.out)] == [10, 11]
    assert [event["data"]["x"] for event in events(from_stdin.out)] == [20, 21]


def test_config_reaches_the_run(millstream: Any) -> None:
    outcome = millstream("run", "graphs:graph", "-i", '{"x": 1}', "-c", '{"recursion_limit": 0}')

    assert outcome.code == 1
    assert "recursion_limit must be at least 1" in outcome.err


def test_a_failed_graph_shows_the_users_frames_alone(millstream: Any) -> None:
    outcome = millstream("run", "graphs.py:failing", "--input", '{"x": 1}')

    frames = [line for line in outcome.err.splitlines() if line.startswith("  File ")]
    assert outcome.code == 1
    assert [frame.split(", in ")[1] for frame in frames] == ["fail", "divide"]
    assert "ZeroDivisionError: division by zero" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["graphs.py:"], "TARGET 'graphs.py:' does not name a graph; write "),
        (["missing.py:graph"], "no such file: missing.py; write "),
        (["missing:graph"], "no module named 'missing', neither in "),
        (["graphs.py:grahp"], "graphs.py has no 'grahp'; try graphs.py:builder or "),
        (["graphs:number"], "graphs:number is of type int, not a graph; name "),
        (["graphs:State"], "graphs:State is the class State, not a graph; name "),
        (["graphs:needs"], "graphs:needs needs arguments (argument); name "),
        (["graphs:broken"], "graphs:broken failed when called: RuntimeError: not today (graphs.py"),
        (["graphs:invalid"], "graphs:invalid does not compile: ValueError: Graph must have an "),
        (["graphs:graph", "-i", '{"x":'], "--input is not JSON: "),
        (["graphs:graph", "-i", "@missing"], "--input @missing: cannot read missing: No such "),
        (["graphs:graph", "-c", "[]"], "--config must be a JSON object, such as "),
        (
            ["graphs:graph", "-c", '{"configurable": 5}'],
            '"configurable" in --config must be a JSON o',
        ),
        (
            ["graphs:graph", "-c", '{"tags": "a"}'],
            "\"tags\" in --config must be a JSON array, not 'a'",
        ),
        (
            ["graphs:graph", "-c", '{"callbacks": [1]}'],
            '"callbacks" in --config must be left out: ',
        ),
        (
            ["graphs:graph", "-c", '{"max_concurrency": "3"}'],
            '"max_concurrency" in --config must be a',
        ),
        (
            ["graphs:graph", "-c", '{"recursion_limit": 1e400}'],
            '"recursion_limit" in --config must be',
        ),
        (["graphs:graph", "-m", "vlaues"], "no stream mode 'vlaues'; choose from values, "),
        (["graphs:graph", "-m", "message"], "no stream mode 'message'; choose from values, "),
        (["graphs:graph", "--jsno"], "No such option: --jsno"),
        ([], "Missing argument 'TARGET'. (see millstream run --help)"),
    ],
)
def test_bad_usage_is_one_line_that_says_what_to_do(
    millstream: Any, arguments: list[str], complaint: str
) -> None:
    assert millstream("run", *arguments).complaint.startswith(complaint)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' (module.py, line 1); "),
        ("def f(:", "SyntaxError: "),
        ("\n1 / 0", "ZeroDivisionError: division by zero (module.py, line 2); "),
        ("raise SystemExit(3)", "SystemExit: 3 (module.py, line 1); "),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    millstream: Any, folder: Path, source: str, complaint: str
) -> None:
    (folder / "module.py").write_text(source, encoding="utf-8")

    expected = f"failed: {complaint}"
    assert expected in millstream("run", "module.py:graph").complaint
    assert expected in millstream("run", "module:graph").complaint


@pytest.mark.parametrize("form", [pytest.param([], marks=pytest.mark.long), ["--json"]])
def test_a_reader_that_goes_away_ends_the_run_quietly(
    start: Callable[..., subprocess.Popen[str]], form: list[str]
) -> None:
    process = start("run", "graphs:chatting", *form)
    assert process.stdout is not None
    assert process.stderr is not None

    first = process.stdout.readline()
    process.stdout.close()

    assert "line 0" in first
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_ctrl_c_ends_the_run_quietly(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("run", "graphs:lingering")
    assert process.stdout is not None

    assert process.stdout.readline() == "lingering\n"
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        # A sync node cannot be stopped; the second Ctrl-C does not wait for it.
        process.send_signal(signal.SIGINT)

    assert process.wait(timeout=10) == 130
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_help_does_not_import_the_engine(folder: Path) -> None:
    code = (
        "import sys; from millstream.cli import main; main(['--help']); "
        "sys.exit(' '.join(m for m in sys.modules if m.startswith(('millstream.graph', "
        "'millstream.pregel', 'langchain_core'))))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == ""
    assert "draw" in done.stdout
