"""`millstream exec`: what `python` does, with millstream in the place of langgraph."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from compat.conftest import Outcome, Python, exec_command

Script = Callable[..., Path]

PROGRAM = """
import atexit
import sys
import threading

import neighbour
import __main__

print(sys.argv, sys.path[0], __name__, __file__, __spec__, __package__, __doc__)
print(vars(__main__) is globals(), sys.modules["__main__"] is __main__, neighbour.NAME)
atexit.register(lambda: print("at exit", neighbour.NAME))
go = threading.Event()
threading.Thread(target=lambda: (go.wait(), print("in a thread", neighbour.NAME))).start()
go.set()
"""
ENDS = {
    "exit code": "import sys; sys.exit(7)",
    "exit text": "import sys; sys.exit('bye')",
    "error": "def fail(): raise ValueError('no')\nfail()",
    "interrupted": "raise KeyboardInterrupt",
    "own hook": "import sys; sys.excepthook = lambda *a: print(a[0], a[2].tb_next)\n1 / 0",
    "syntax": "def f(:",
}


def both(python: Python, cwd: Path, *arguments: str) -> tuple[Outcome, Outcome]:
    """Run a program with `python` and with `millstream exec`."""
    plain = python.run(*arguments, cwd=cwd)
    return plain, python.run(*exec_command(*arguments), cwd=cwd)


def test_a_script_finds_what_python_gives_it(with_langgraph: Python, script: Script) -> None:
    path = script(PROGRAM)
    script("NAME = 'next door'", "neighbour.py")

    plain, ours = both(with_langgraph, path.parent, path.name, "-x", "--help", "exec")

    assert plain.code == 0, plain.err
    assert ours == plain


@pytest.mark.parametrize("end", ENDS)
def test_a_script_ends_as_with_python(with_langgraph: Python, script: Script, end: str) -> None:
    path = script(ENDS[end])

    plain, ours = both(with_langgraph, path.parent, str(path))

    assert ours == plain
    assert plain.code != 0
    assert "millstream" not in ours.err


def test_a_keyboard_interrupt_ends_the_process_by_its_signal(
    with_langgraph: Python, script: Script
) -> None:
    path = script("raise KeyboardInterrupt")

    assert with_langgraph.run(*exec_command(str(path))).code == -signal.SIGINT


MODULE = """
import sys
print(sys.argv, sys.path[0], __name__, __package__, __spec__.name, __file__)
from .neighbour import NAME
print(NAME)
"""


@pytest.mark.parametrize("name", ["package", "package.module"])
def test_a_module_finds_what_python_gives_it(
    with_langgraph: Python, script: Script, name: str
) -> None:
    path = script(MODULE, "package/module.py")
    script(MODULE, "package/__main__.py")
    script("print('init')", "package/__init__.py")
    script("NAME = 'next door'", "package/neighbour.py")

    plain, ours = both(with_langgraph, path.parents[1], "-m", name, "-m", "x")

    assert plain.code == 0, plain.err
    assert ours == plain


def test_a_directory_is_run_like_with_python(with_langgraph: Python, script: Script) -> None:
    path = script("import sys, helper; print(sys.argv, sys.path[0], __name__)", "app/__main__.py")
    script("", "app/helper.py")

    plain, ours = both(with_langgraph, path.parents[1], "app", "x")

    assert plain.code == 0, plain.err
    assert ours == plain


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.py",), "cannot open nothing.py"),
        (("-m", "no.such"), "no module named no.such"),
        (("-m",), "the name of a module is missing"),
        (("--fast", "x.py"), "no such option: --fast"),
        (("-c", "1"), "no such option: -c (give a file, a directory, a zip file or -m MODULE;"),
        (("-",), "no such option: - (give a file,"),
    ],
)
def test_a_program_that_is_not_there_is_one_line(
    with_langgraph: Python, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = with_langgraph.run(*exec_command(*arguments), cwd=tmp_path)

    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_program_written_for_langgraph_runs_unchanged(python: Python, script: Script) -> None:
    path = script(
        """
        from typing_extensions import TypedDict

        from langgraph.checkpoint.memory import InMemorySaver
        from langgraph.graph import START, StateGraph
        from langgraph.types import Command, interrupt

        class State(TypedDict):
            name: str

        builder = StateGraph(State)
        builder.add_node("ask", lambda state: {"name": interrupt("who?")})
        builder.add_edge(START, "ask")
        graph = builder.compile(checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "1"}}
        print(graph.invoke({"name": ""}, config)["__interrupt__"][0].value)
        print(graph.invoke(Command(resume="Ada"), config))
        print(StateGraph.__module__)
        """
    )

    outcome = python.run(*exec_command(str(path)))

    assert outcome.err == ""
    assert outcome.out == "who?\n{'name': 'Ada'}\nmillstream.graph.state\n"


def test_nothing_of_the_command_is_loaded(with_langgraph: Python, script: Script) -> None:
    path = script("import sys; print({'typer', 'click', 'rich'} & set(sys.modules))")

    assert with_langgraph.run(*exec_command(str(path))).out == "set()\n"


@pytest.mark.parametrize("option", [pytest.param("-h", marks=pytest.mark.long), "--help"])
def test_help_is_that_of_the_command(with_langgraph: Python, option: str) -> None:
    outcome = with_langgraph.run(*exec_command(option))

    assert outcome.code == 0
    assert "SCRIPT" in outcome.out
