"""What a newcomer types first does what it is expected to do."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

from forked_python import run_python
from millstream import __version__
from millstream.cli.installing import _EXTRAS, installing
from millstream.modes.names import PUBLIC_MODES

FROM_LANGGRAPH = """
from typing_extensions import TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    engine: str


def tell(state):
    return {"engine": StateGraph.__module__}


graph = StateGraph(State).add_node(tell).add_edge(START, "tell").compile()
"""

POSTGRES = installing("millstream[postgres]")
COMMAND = "import sys; from millstream.cli import main; sys.exit(main())"


@pytest.mark.parametrize("before", [[], ["run"], ["threads"], ["threads", "list"], ["exec"]])
def test_help_and_version_have_one_letter_everywhere(millstream: Any, before: list[str]) -> None:
    short, long = millstream(*before, "-h"), millstream(*before, "--help")
    version = millstream(*before, "-V")

    assert (short.code, short.err) == (0, "")
    assert short.out == long.out
    assert f"Usage: {' '.join(['millstream', *before])}" in short.out
    assert (version.code, version.out, version.err) == (0, f"millstream {__version__}\n", "")


@pytest.mark.parametrize("before", [[], ["threads"]])
def test_no_command_shows_which_there_are(millstream: Any, before: list[str]) -> None:
    outcome = millstream(*before)

    assert outcome.code == 2
    assert "Commands" in outcome.out
    assert outcome.err == ""


class FullDisk(io.StringIO):
    """A file that cannot be written any more."""

    def write(self, text: str) -> int:
        """Fail."""
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-h"],
        ["-V"],
        ["threads"],
        ["draw", "graphs.py"],
        ["run", "graphs.py", "-i", '{"x": 1}'],
        ["state", "graphs.py", "--checkpointer", "threads.db", "--thread", "1"],
        ["history", "graphs.py", "--checkpointer", "threads.db", "--thread", "1", "--json"],
        ["threads", "list", "threads.db"],
        ["threads", "show", "threads.db", "1", "--json"],
        ["replay", "run.jsonl"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_full_disk_is_one_line_for_every_command(
    millstream: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    if not {"threads.db", "run.jsonl"}.isdisjoint(arguments):
        words = ["-i", '{"x": 1}', "--checkpointer", "threads.db", "--thread", "1"]
        assert millstream("run", "graphs.py", *words, "--record", "run.jsonl").code == 0
    monkeypatch.setattr(sys, "stdout", FullDisk())

    outcome = millstream(*arguments)

    assert outcome.err == "millstream: stdout cannot be written: No space left on device\n"
    assert outcome.code == 1


def test_a_file_that_cannot_be_used_is_not_taken_for_stdout(
    millstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", "place/of/something")

    monkeypatch.setattr("millstream.cli.target.load_graph", fail)
    monkeypatch.setattr("millstream.cli.draw.load_graph", fail)

    outcome = millstream("draw", "graphs.py")

    assert (outcome.code, outcome.err) == (1, "millstream: place/of/something: Not a directory\n")


def test_the_package_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "millstream", "-V"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, f"millstream {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["thr"], ["threads"]),
        (["run", "graphs.py", "-m", ""], [*PUBLIC_MODES]),
        (["hook", "in"], ["install"]),
    ],
)
def test_a_shell_can_complete_what_is_typed(
    millstream: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], found: list[str]
) -> None:
    monkeypatch.setenv("_MILLSTREAM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["millstream", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))

    outcome = millstream()

    assert (outcome.code, outcome.out.split(), outcome.err) == (0, found, "")


def test_a_graph_that_imports_langgraph_runs_on_millstream(folder: Path) -> None:
    (folder / "app.py").write_text(FROM_LANGGRAPH, encoding="utf-8")

    done = run_python("-c", COMMAND, "run", "app.py:graph", "--json", cwd=folder)

    assert done.stderr == ""
    assert '"engine":"millstream.graph.state"' in done.stdout.replace(" ", "")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"recursion_limt": 5}', 'do you mean "recursion_limit"?'),
        ('{"thread_id": "1"}', 'write it as {"configurable": {"thread_id": ...}}'),
        ('{"colour": 1}', "; others are configurable, metadata, tags, callbacks, "),
    ],
)
def test_a_key_that_a_config_does_not_have_is_noted(
    millstream: Any, config: str, said: str
) -> None:
    outcome = millstream("run", "graphs.py", "-i", '{"x": 1}', "-c", config)

    (line,) = outcome.err.splitlines()
    assert line.startswith('millstream: "')
    assert said in line
    assert outcome.code == 0


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("checkpoints", "only a graph with a saver makes checkpoints; give --checkpointer PATH"),
        ("messages", "no node has called a model"),
        ("tools", "no tool of LangChain was called"),
    ],
)
def test_a_mode_that_has_shown_nothing_is_noted(millstream: Any, mode: str, why: str) -> None:
    outcome = millstream("run", "graphs.py", "-i", '{"x": 1}', "-m", mode, "-m", "updates")

    assert outcome.err == f"millstream: -m {mode} has shown nothing: {why}\n"
    assert outcome.code == 0


def test_a_missing_input_is_said_where_its_key_is_missed(millstream: Any) -> None:
    note = "millstream: the input was {}, because no --input was given\n"

    without, empty = millstream("run", "graphs.py"), millstream("run", "graphs.py", "-i", "{}")

    assert without.err.endswith(f"\n{note}")
    assert "KeyError: 'x'" in without.err
    assert note not in empty.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"X": 1}', 'do you mean "x"?'),
        ('{"x": 1, "colour": 2}', "there are x"),
        ('{"x": 1}', None),
        ("null", None),
    ],
)
def test_a_key_that_the_graph_does_not_take_is_noted(
    millstream: Any, given: str, said: str | None
) -> None:
    notes = millstream("run", "graphs.py", "-i", given).err.splitlines()

    about = [each for each in notes if "is no key that the graph takes, and is lost" in each]
    assert [each.rpartition("; ")[2] for each in about] == ([] if said is None else [said])


@pytest.mark.parametrize(
    "arguments",
    [
        ["state", "graphs.py", "-t", "1"],
        ["history", "graphs.py", "-t", "1"],
        ["run", "graphs.py", "-t", "1", "--resume", "true"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_who_reads_threads_makes_no_file(
    millstream: Any, folder: Path, arguments: list[str]
) -> None:
    outcome = millstream(*arguments, "--checkpointer", "threads.db")

    assert outcome.complaint.startswith("--checkpointer threads.db: no such file; ")
    assert not (folder / "threads.db").exists()


def test_an_answer_that_is_no_json_is_quoted_twice(millstream: Any) -> None:
    outcome = millstream("run", "graphs.py", "-t", "1", "--resume", "yes")

    assert outcome.complaint.endswith("write it like '\"yes\"', with both quotes")


def test_a_choice_that_there_is_not_is_said_in_few_words(millstream: Any) -> None:
    outcome = millstream("draw", "graphs.py", "-f", "gif")

    assert "Value error" not in outcome.complaint


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "graphs.py", "--checkpointer", "postgresql://nobody@127.0.0.1:1/x"],
        ["threads", "list", "postgresql://nobody@127.0.0.1:1/x"],
    ],
    ids=["run", "threads"],
)
def test_a_missing_extra_names_the_environment_that_runs(
    millstream: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    complaint = millstream(*arguments).complaint

    assert complaint.endswith(f"A journal in PostgreSQL needs psycopg: {POSTGRES}")


def test_another_engine_is_named(millstream: Any, folder: Path) -> None:
    # This process may import langgraph first, unlike the command.
    (folder / "theirs.py").write_text(FROM_LANGGRAPH, encoding="utf-8")

    outcome = millstream("run", "theirs.py", "--json")

    assert '"engine": "langgraph.graph.state"' in outcome.out
    assert "runs this graph, not millstream: it was imported before" in outcome.err


def test_extras_that_are_named_are_there() -> None:
    known = metadata("millstream").get_all("Provides-Extra") or ()

    assert {*_EXTRAS.values()} <= {*known}
