"""`millstream hook` and `MILLSTREAM_AS_LANGGRAPH`: processes that ask from their start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compat.conftest import Python, exec_command
from millstream.compat.hook import LINE, VARIABLE


@pytest.fixture
def hooked(own_environment: Python) -> Iterator[Python]:
    """Give a Python whose environment has the hook."""
    installed = own_environment.run("-m", "millstream.cli", "hook", "install")
    assert installed.code == 0, installed.err
    yield own_environment
    removed = own_environment.run("-m", "millstream.cli", "hook", "remove")
    assert removed.out.endswith("removed\n")


def test_the_hook_is_there_until_it_is_removed(own_environment: Python) -> None:
    def say(action: str) -> str:
        return own_environment.run("-m", "millstream.cli", "hook", action).out.split("pth ")[1]

    said = [say(action) for action in ("show", "install", "show", "install", "remove", "show")]

    ready = "installed; set MILLSTREAM_AS_LANGGRAPH=1 to use it\n"
    assert said == [
        "is not installed\n",
        ready,
        "is installed\n",
        ready,
        "removed\n",
        "is not installed\n",
    ]


def test_only_processes_that_ask_are_changed(hooked: Python) -> None:
    code = "import langgraph.types; print(langgraph.types.__name__)"

    names = [
        hooked.check(code),
        hooked.check(code, MILLSTREAM_AS_LANGGRAPH="0"),
        hooked.check(code, MILLSTREAM_AS_LANGGRAPH="1"),
    ]

    assert names == ["langgraph.types\n", "langgraph.types\n", "millstream.types\n"]


def test_without_the_variable_the_hook_loads_nothing(hooked: Python) -> None:
    out = hooked.check("import sys; print([m for m in sys.modules if 'millstream' in m])")

    assert out == "[]\n"


def test_with_the_variable_the_hook_loads_the_finder_alone(hooked: Python) -> None:
    code = "import sys; print(*sorted(m for m in sys.modules if 'millstream' in m))"

    out = hooked.check(code, MILLSTREAM_AS_LANGGRAPH="1")

    names = ["", ".compat", ".compat.finder", ".compat.names", ".version"]
    assert out == " ".join(f"millstream{name}" for name in names) + "\n"


SPAWNING = """
import multiprocessing

from langgraph.types import Command, Send


def work(packet):
    return type(packet) is Send, Command(goto=packet), Send


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        same, command, cls = pool.apply(work, (Send("n", 1),))
    print(same, command, type(command) is Command, cls is Send, Send.__init__.__module__)
"""


def test_worker_processes_of_a_program_are_like_the_program(
    hooked: Python, tmp_path: Path, script: Callable[[str], Path]
) -> None:
    path = script(SPAWNING)

    outcome = hooked.run(*exec_command(str(path)), cwd=tmp_path)

    assert outcome.err == ""
    assert (
        outcome.out == "True Command(goto=Send(node='n', arg=1)) True True millstream._types.send\n"
    )


def test_a_program_that_installs_itself_needs_no_hook_for_its_workers(
    own_environment: Python, tmp_path: Path, script: Callable[[str], Path]
) -> None:
    path = script("import millstream; millstream.install_as_langgraph()\n" + SPAWNING)

    outcome = own_environment.run(str(path), cwd=tmp_path)

    assert outcome.err == ""
    assert (
        outcome.out == "True Command(goto=Send(node='n', arg=1)) True True millstream._types.send\n"
    )


def test_the_hook_does_nothing_where_millstream_is_uninstalled() -> None:
    # -S: without what is installed, as if nothing were.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LINE],
        env={VARIABLE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
