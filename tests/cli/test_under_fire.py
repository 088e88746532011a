"""The command survives odd input and odd surroundings, and shows no control character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOSTILE = """
import sys
from typing import Any

from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph

EVIL = "\\x1b]0;title\\x07\\x1b]52;c;aGk=\\x07\\x1b[8mhidden\\r\\x9b31m\\u202eback"


class State(TypedDict, total=False):
    x: Any


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def graph_of(action, name="node"):
    return StateGraph(State).add_node(name, action).add_edge(START, name).compile()


def emit(state):
    get_stream_writer()(EVIL)
    get_stream_writer()({EVIL: EVIL})
    return {"x": EVIL}


def fail(state):
    raise ValueError(EVIL)


def fail_mutely(state):
    raise Mute


def nest(state):
    value = []
    for _ in range(100_000):
        value = [value]
    get_stream_writer()(value)


def leave():
    sys.exit(3)


def raise_mutely():
    raise Mute


fine = graph_of(lambda state: {"x": "naïve 😀 \\ud800"})
evil = graph_of(emit)
failing = graph_of(fail)
named = graph_of(lambda state: {"x": 1}, "node \\x1b[8m")
mute = graph_of(fail_mutely)
deep = graph_of(nest)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def also(*values: Any) -> Any:
    """Return a case of a process that repeats what another one proves."""
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.fixture
def hostile(folder: Path) -> Path:
    """Give a folder with hostile graphs."""
    (folder / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    (folder / "attributes.py").write_text("def __getattr__(name): raise RuntimeError('none')")
    (folder / "mute.py").write_text(f"{HOSTILE}\nraise Mute\n", encoding="utf-8")
    return folder


@pytest.fixture
def shell(hostile: Path) -> Run:
    """Give a function that runs a line of sh, where $M is the command."""

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("millstream")
        return subprocess.run(
            ["sh", "-c", line],
            env={**os.environ, "M": str(script), **environment},
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=60,
            check=False,
        )

    return run


def controls(text: str) -> set[str]:
    """Return what a terminal would obey."""
    return {
        char
        for char in text
        if (char < " " and char not in "\n\t") or "\x7f" <= char < "\xa0" or char == "\u202e"
    }


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("mode", ["updates", "values", "custom", "tasks", "debug", "checkpoints"])
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["live", "json"])
@pytest.mark.parametrize("graph", ["evil", "failing", "named"])
def test_nothing_of_a_graph_reaches_the_terminal_with_control_characters(
    millstream: Any, mode: str, json_too: list[str], graph: str
) -> None:
    outcome = millstream("run", f"hostile.py:{graph}", "-m", mode, *json_too)

    assert controls(outcome.out + outcome.err) == set()
    assert outcome.code == (1 if graph == "failing" else 0)


@pytest.mark.usefixtures("hostile")
def test_text_that_is_shown_keeps_its_other_characters(millstream: Any) -> None:
    shown = millstream("run", "hostile.py:evil", "-m", "custom").out.splitlines()[0]
    event = millstream("run", "hostile.py:evil", "-m", "custom", "--json").out.splitlines()[0]

    assert shown == "␛]0;title␇␛]52;c;aGk=␇␛[8mhidden␍�31m�back"
    evil = "\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b[8mhidden\r\x9b31m\u202eback"
    assert json.loads(event)["data"] == evil


@pytest.mark.usefixtures("hostile")
def test_tokens_drawings_and_complaints_hold_no_control_characters(
    millstream: Any, folder: Path
) -> None:
    (folder / "talks.py").write_text(
        "from langchain_core.language_models import GenericFakeChatModel\n"
        "from millstream.graph import START, MessagesState, StateGraph\n"
        "model = GenericFakeChatModel(messages=iter(['a \\x1b[8m b \\x9b']))\n"
        "def talk(state): return {'messages': model.invoke('hi')}\n"
        "graph = StateGraph(MessagesState).add_node(talk).add_edge(START, 'talk').compile()\n"
    )

    outcomes = [
        millstream("run", "talks.py:graph", "-m", "messages"),
        millstream("draw", "hostile.py:named"),
        millstream("draw", "hostile.py:named", "--format", "ascii"),
        millstream("run", "hostile.py:\x1b[8m\x9b"),
        millstream("run", "hostile.py:evil", "-m", "\x1b[8m"),
        millstream("run", "hostile.py:evil", "--no\x1b[8m"),
    ]

    assert [controls(outcome.out + outcome.err) for outcome in outcomes] == [set()] * 6
    assert [outcome.code for outcome in outcomes] == [0, 0, 0, 2, 2, 2]


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hostile.py:fine", "-i", "[" * 100_000], "--input is nested too deeply"),
        (["hostile.py:fine", "-c", '{"a":' * 100_000], "--config is nested too deeply"),
        (["hostile.py:fine", "-c", '{"max_concurrency": NaN}'], "NaN is not a number of JSON"),
        (["attributes.py:graph"], "cannot be read: RuntimeError: none"),
        (["mute.py:graph"], "Mute: its text cannot be read, because that raises RuntimeError"),
        (["hostile.py:leave"], "failed when called: SystemExit: 3"),
        (["hostile.py:raise_mutely"], "failed when called: Mute: its text cannot be read"),
    ],
    ids=["input", "config", "NaN", "__getattr__", "import", "exit", "factory"],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    millstream: Any, arguments: list[str], said: str
) -> None:
    assert said in millstream("run", *arguments).complaint


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["live", "json"])
def test_values_that_are_nested_deeply_are_shown_in_part(
    millstream: Any, json_too: list[str]
) -> None:
    outcome = millstream("run", "hostile.py:deep", "-m", "custom", *json_too)

    assert (outcome.code, outcome.err) == (0, "")
    if json_too:
        assert "<nested too deeply>" in json.dumps(json.loads(outcome.out))


@pytest.mark.usefixtures("hostile")
def test_an_error_that_cannot_say_its_text_is_still_an_event_and_a_traceback(
    millstream: Any,
) -> None:
    outcome = millstream("run", "hostile.py:mute", "-m", "tasks", "--json")

    assert outcome.code == 1
    assert [json.loads(line)["mode"] for line in outcome.out.splitlines()][:1] == ["tasks"]
    assert "<exception str() failed>" in outcome.err


@pytest.mark.parametrize("locale", ["ascii", also("utf-8"), also("latin-1")])
def test_json_stays_json_in_every_locale(shell: Run, locale: str) -> None:
    done = shell("$M run hostile.py:fine --json", PYTHONIOENCODING=f"{locale}:strict")

    assert json.loads(done.stdout)["data"] == {"node": {"x": "naïve 😀 \ud800"}}
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        "run hostile.py:fine",
        also("run hostile.py:fine --json"),
        also("draw hostile.py:fine"),
        "hook",
    ],
)
def test_a_full_disk_or_a_closed_stdout_is_one_line(shell: Run, command: str) -> None:
    full = shell(f"$M {command} >/dev/full")
    closed = shell(f"$M {command} >&-")

    assert full.stderr == "millstream: stdout cannot be written: No space left on device\n"
    advice = "give it a file, a pipe or a terminal"
    assert closed.stderr == f"millstream: stdout is closed; {advice}\n"
    assert (full.returncode, closed.returncode) == (1, 1)


@pytest.mark.parametrize("option", ["--help", also("--version")])
def test_a_full_disk_is_one_line_for_the_help_too(shell: Run, option: str) -> None:
    done = shell(f"$M {option} >/dev/full")

    assert done.stderr == "millstream: stdout cannot be written: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize("way", ["2>/dev/full", also("2>&-")])
def test_what_cannot_be_said_does_not_change_the_exit_code(shell: Run, way: str) -> None:
    done = shell(f"$M run hostile.py:missing {way}")

    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_a_closed_stdin_is_said(shell: Run) -> None:
    done = shell("$M run hostile.py:fine --input - <&-")

    assert done.stderr == "millstream: --input -: stdin is closed; give JSON or @FILE\n"
    assert done.returncode == 2


def test_a_file_of_a_graph_does_not_become_its_stdout(shell: Run, hostile: Path) -> None:
    (hostile / "opens.py").write_text(
        "from hostile import graph_of\n"
        "file = open('kept', 'w')\n"
        "graph = graph_of(lambda state: print('printed') or file.write(str(file.fileno() > 2)))\n"
    )

    shell("$M run opens.py:graph --json <&- 2>&-")

    assert (hostile / "kept").read_text() == "True"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("run $HERE/hostile.py:fine", 0),
        also("run $HERE/hostile.py:failing", 1),
        also("run $HERE/mute.py:fine", 2),
        ("run hostile:fine", 2),
        ("exec hostile.py", 2),
        also("exec -m hostile", 2),
    ],
)
def test_a_deleted_directory_is_said_where_it_matters(
    shell: Run, hostile: Path, command: str, code: int
) -> None:
    done = shell(
        f"mkdir gone && cd gone && rmdir ../gone && $M {command}",
        HERE=str(hostile),
    )

    assert done.returncode == code
    if code != 1:
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("columns", ["0", also("1"), also("-5"), also("x")])
def test_any_width_shows_something(shell: Run, columns: str) -> None:
    done = shell("$M run hostile.py:named", COLUMNS=columns)

    assert "done: 1 event" in " ".join(done.stdout.split())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("key", ["max_concurrency", "recursion_limit"])
def test_a_limit_that_is_no_number_is_refused(driver: Any, key: str) -> None:
    from typing_extensions import TypedDict

    from millstream.graph import START, StateGraph

    class State(TypedDict):
        x: int

    builder = StateGraph(State)
    builder.add_node("node", lambda state: None)
    graph = builder.add_edge(START, "node").compile()

    with pytest.raises(ValueError, match=f"{key} must be at least 1"):
        driver.invoke(graph, {"x": 1}, {key: float("nan")})
