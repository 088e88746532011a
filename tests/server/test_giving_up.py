"""Processes that are told to end before they serve: they wait for nobody then."""

from __future__ import annotations

import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import waiting
from millstream.server import serving
from millstream.server.config_files import load_config
from server.test_serving import APP

STORE = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).parent


@asynccontextmanager
async def open_store():
    (HERE / "begun").touch()
    try:
        await asyncio.Event().wait()
    finally:
        (HERE / "undone").touch()
    yield
"""


class Serving:
    """A server in a thread of this process, as the command runs it."""

    def __init__(self, here: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.raised: list[int] = []
        self.said: list[str] = []
        made: list[Any] = []

        class Server(serving._Server):
            def __init__(self, *args: Any, **named: Any) -> None:
                super().__init__(*args, **named)
                made.append(self)

        monkeypatch.setattr(serving, "_Server", Server)
        monkeypatch.setattr(signal, "raise_signal", self.raised.append)
        # However slow this machine is: who does not end in time would take the tests along.
        monkeypatch.setattr(serving, "PATIENCE", 600)
        (here / "app.py").write_text(APP)
        config = load_config(None, f"{here / 'app.py'}:graph", **options)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._run, args=(config,), name="test-server")
        self.thread.start()
        assert waiting.until(lambda: made)
        [self.server] = made

    def _run(self, config: Any) -> None:
        serving.run(config, self._listening, reload=False, browser=True, say=self.said.append)

    def end(self) -> None:
        """Tell it to end, and wait until it has."""
        self.server.handle_exit(signal.SIGTERM, None)
        self.thread.join()


def test_who_is_told_to_end_before_it_serves_undoes_what_it_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores.py").write_text(STORE)
    (tmp_path / "langgraph.json").write_text('{"store": {"path": "./stores.py:open_store"}}')
    with caplog.at_level(logging.WARNING):
        server = Serving(tmp_path, monkeypatch)
        assert waiting.until((tmp_path / "begun").exists)
        server.end()

    assert (tmp_path / "undone").exists()
    assert (server.raised, server.said) == ([signal.SIGTERM], [])
    assert [record.getMessage() for record in caplog.records] == []
    assert [each.name for each in threading.enumerate() if "millstream-runs" in each.name] == []


def test_a_browser_that_waits_for_its_page_keeps_no_server_from_answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def show(page: str) -> None:
        # As one in the terminal does.
        with urllib.request.urlopen(page, timeout=60) as answer:
            shown.append(answer.status)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", show)
    server = Serving(tmp_path, monkeypatch)
    assert waiting.until(lambda: shown == [200])
    server.end()
    assert server.raised == [signal.SIGTERM]


SERVE = ("serve", "app.py:graph", "--port", "0", "--database")


@contextmanager
def command(here: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command, which is told to end before the block ends."""
    (here / "app.py").write_text(APP)
    process = subprocess.Popen(
        [sys.executable, "-m", "millstream.cli", *arguments],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "sent", "code"),
    [
        (SERVE, signal.SIGTERM, -signal.SIGTERM),
        (SERVE, signal.SIGINT, 130),
        (("migrate", "--database"), signal.SIGINT, 130),
        (("threads", "list"), signal.SIGINT, 130),
    ],
    ids=["serve", "serve-by-hand", "migrate", "threads"],
)
def test_a_database_that_says_nothing_keeps_nobody(
    arguments: tuple[str, ...], sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"postgresql://nobody@127.0.0.1:{listening.getsockname()[1]}/none"
        with command(tmp_path, *arguments, address) as process:
            connection, _ = listening.accept()
            process.send_signal(sent)
            # After ten seconds it would end by itself, with another code.
            out, err = process.communicate(timeout=60)
            connection.close()

    assert (process.returncode, out) == (code, "")
    assert err == "" or re.search(r"Not all has stopped 1 s after the signal to end", err)
    assert "Traceback" not in err


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "sent", "code"),
    [
        (SERVE, signal.SIGTERM, -signal.SIGTERM),
        (("migrate", "--database"), signal.SIGINT, 130),
    ],
    ids=["serve", "migrate"],
)
def test_who_waits_for_a_turn_says_so_and_ends_when_it_is_told(
    arguments: tuple[str, ...], sent: signal.Signals, code: int, new_database: str, tmp_path: Path
) -> None:
    with (
        psycopg.connect(new_database, autocommit=True) as other,
        command(tmp_path, *arguments, new_database) as process,
    ):
        other.execute("SELECT pg_advisory_lock(hashtextextended('millstream.store', 0))")
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)

    assert "another server prepares the database postgresql://" in line
    assert (process.returncode, out, err) == (code, "", "")
