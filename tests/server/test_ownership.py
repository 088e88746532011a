"""One server for each database."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import waiting
from millstream.server.errors import ConfigError
from millstream.server.service import Service
from millstream.server.storage.ownership import owning
from server.fixtures import config_of, running
from server.graphs import make_graphs

HOLD = """
import sys
from pathlib import Path
from millstream.server.storage.ownership import owning
with owning(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


async def opened(directory: Path) -> None:
    async with Service.open(config_of(make_graphs(), directory)):
        pass


@pytest.mark.usefixtures("in_files")
def test_a_second_server_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with running(config_of(make_graphs(), tmp_path)) as server:
        with pytest.raises(ConfigError, match=rf"\(process {os.getpid()}\): end that one"):
            asyncio.run(opened(tmp_path))
        run = {"assistant_id": "chat", "input": {"messages": []}}
        assert server.http.post("/runs/wait", json=run).status_code == 200

    asyncio.run(opened(tmp_path))


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL, and no other way to die")
def test_a_database_is_free_when_its_server_has_died(tmp_path: Path) -> None:
    database = tmp_path / "server.db"
    command = [sys.executable, "-c", HOLD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=rf"\(process {process.pid}\)"), owning(database):
            pass
        process.send_signal(signal.SIGKILL)
        assert waiting.until(lambda: process.poll() is not None)

        with owning(database):
            pass


def test_a_database_has_a_name() -> None:
    with pytest.raises(ConfigError, match="is no file"), owning(Path("/")):
        pass


def test_a_place_where_no_database_can_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(ConfigError, match=r"x\.db cannot be made: .*file: "), owning(file / "x.db"):
        raise AssertionError("nobody can own it")
