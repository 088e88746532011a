"""What a newcomer types first does what it is expected to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forked_python import run_python
from millstream import __version__
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
