"""`millstream dev` and `millstream serve` as processes."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import waiting
from millstream.cli import main
from millstream.cli import serving as starting
from millstream.server.config import AuthConfig, ServerConfig
from server.databases import of_directory

APP = """
from langgraph.graph import START, MessagesState, StateGraph


def answer(state: MessagesState):
    return {"messages": [("ai", "It grinds.")]}


graph = StateGraph(MessagesState).add_node("NODE", answer).add_edge(START, "NODE").compile()
"""


class Process:
    """A server in a process of its own."""

    def __init__(self, here: Path, *arguments: str) -> None:
        self.errors = here / "stderr.txt"
        database = of_directory(here)
        environment = {} if database is None else {"MILLSTREAM_DATABASE": database}
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "millstream.cli", *arguments],
                cwd=here,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"on (http://\S+) ", self.line)
        assert found, f"{self.line!r}\n{self.errors.read_text()}"
        self.http = httpx.Client(base_url=found[1], timeout=30)

    def nodes(self) -> list[str]:
        """Return the names of the graph's nodes."""
        drawn = self.http.get("/assistants/graph/graph").json()
        return [node["id"] for node in drawn["nodes"][1:-1]]

    def end(self) -> int:
        """Interrupt it, and return how it ended."""
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


@contextmanager
def serving(here: Path, *arguments: str) -> Iterator[Process]:
    """Serve until the block ends."""
    server = Process(here, *arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def write(here: Path, node: str, text: str = APP) -> None:
    """Write the file that the graph is in."""
    (here / "app.py").write_text(text.replace("NODE", node))


@pytest.mark.long
def test_dev_serves_what_changes_and_threads_survive(tmp_path: Path) -> None:
    write(tmp_path, "one")
    # The only graph of the file, whose name is its id then.
    with serving(tmp_path, "dev", "app.py", "--port", "0") as server:
        assert "serves graph on http://127.0.0.1:" in server.line
        assert server.nodes() == ["one"]
        thread: dict[str, Any] = server.http.post("/threads", json={}).json()

        write(tmp_path, "two")
        assert waiting.until(lambda: server.nodes() == ["two"], 30)

        write(tmp_path, "three", f"{APP}\nbroken = (")
        assert waiting.until(lambda: "The one of before goes on" in server.errors.read_text(), 30)
        assert "was never closed" in server.errors.read_text()
        assert server.nodes() == ["two"]

        assert server.end() == 130

    write(tmp_path, "four")
    with serving(tmp_path, "serve", "app.py:graph", "--port", "0") as server:
        assert server.nodes() == ["four"]
        assert server.http.get(f"/threads/{thread['thread_id']}").json() == thread
    assert (tmp_path / ".millstream" / "server.db").exists()


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_bad_usage_is_said_in_one_line(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main([command]) == 2
    assert "name a graph, as in `millstream dev app.py:graph`" in capsys.readouterr().err
    assert main([command, "app.py"]) == 2
    assert "no such file: app.py; write path/to/file.py:name" in capsys.readouterr().err
    assert main([command, "app.py:graph", "--port", "70000"]) == 2
    assert "port is a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.long
def test_what_the_server_finds_wrong_when_it_starts_is_said_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, "one")
    command = [sys.executable, "-m", "millstream.cli", "serve", "app.py:graph", "--port", "0"]

    with serving(tmp_path, "serve", "app.py:graph", "--port", "0"):
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert second.returncode == 2
    assert re.fullmatch(
        r"millstream: the database .* is in use by another server \(process \d+\): .*\n",
        second.stderr,
    )
    assert second.stdout == ""


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "app.py:graph", "--port", port]) == 2

    told = f"cannot listen on 127.0.0.1, port {port}: {os.strerror(errno.EADDRINUSE)}; choose "
    assert f"{told}another with --port\n" in capsys.readouterr().err


def test_an_address_of_another_machine_is_not_laid_to_the_port(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # From the block that is kept for documents: no machine has it.
    assert main(["serve", "app.py:graph", "--host", "192.0.2.1", "--port", "0"]) == 2

    assert capsys.readouterr().err.endswith("; choose another with --host or --port\n")


@contextmanager
def hanging_up(handler: signal.Handlers) -> Iterator[None]:
    """Have processes that start until the block ends treat a closed terminal so."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.long
def test_a_server_whose_terminal_is_closed_ends_in_order(tmp_path: Path) -> None:
    write(tmp_path, "one")
    # The tests may have been started by `nohup`.
    with (
        hanging_up(signal.SIG_DFL),
        serving(tmp_path, "serve", "app.py", "--port", "0") as server,
    ):
        server.http.close()
        server.process.send_signal(signal.SIGHUP)
        server.process.communicate(timeout=60)

    assert server.process.returncode == -signal.SIGTERM
    # A file that was closed in order has no log beside it.
    assert not (tmp_path / ".millstream" / "server.db-wal").exists()


@pytest.mark.long
def test_a_server_started_by_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    write(tmp_path, "one")
    with (
        hanging_up(signal.SIG_IGN),
        serving(tmp_path, "serve", "app.py", "--port", "0") as server,
    ):
        server.process.send_signal(signal.SIGHUP)
        assert server.nodes() == ["one"]
        assert server.end() == 130


@pytest.mark.parametrize(
    ("said", "is_open"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "mill.example"}, True),
        ({"host": "0.0.0.0", "api_key_file": "keys.txt"}, False),
        ({"host": "0.0.0.0", "auth": AuthConfig(path="./auth.py:auth")}, False),
        (
            {"host": "0.0.0.0", "role": "worker", "database": "postgresql://host/mill"},
            False,
        ),
    ],
)
def test_a_server_that_everybody_reaches_is_open_unless_it_asks_who_they_are(
    said: dict[str, Any], is_open: bool
) -> None:
    assert starting.is_open(ServerConfig(**said)) == is_open


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_start_that_takes_long_says_on_the_terminal_what_it_is_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(starting, "_PATIENCE", 0.0)
    with starting._patience("loading chat ..."):
        assert waiting.until(lambda: terminal.getvalue() == "millstream: loading chat ...\n")

    monkeypatch.setattr(starting, "_PATIENCE", 3600.0)
    before = threading.active_count()
    with starting._patience("loading chat ...") as is_up:
        is_up()
        assert waiting.until(lambda: threading.active_count() == before)

    with starting._patience("loading chat ..."):
        pass
    assert waiting.until(lambda: threading.active_count() == before)


def test_a_langgraph_that_is_loaded_already_is_named_and_the_port_is_free_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "langgraph.pregel", ModuleType("langgraph.pregel"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert main(["serve", "app.py:graph", "--port", str(port)]) == 2

    told = capsys.readouterr().err
    assert re.fullmatch(r"millstream: .*langgraph\..* are loaded.*\n", told)
    socket.create_server(("127.0.0.1", port)).close()
