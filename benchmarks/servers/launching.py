"""Start a server in a process of its own, in a folder of its own, and stop it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.child import ROOT

SERVED: Final = Path(__file__).parent / "served"
ENVIRONMENTS: Final = ROOT / "build" / "servers"
"""Where `scripts/setup-bench-server` puts the environments of other servers."""
SLOTS: Final = 200
"""How many runs may go on at a time: as many as there are clients."""
POSTGRES: Final = "MILLSTREAM_TEST_POSTGRES"
"""Where `scripts/services.sh` says where PostgreSQL is."""
PATIENCE: Final = 90.0
"""Seconds until a server has to answer."""


@dataclass(frozen=True)
class Server:
    """One of those that are compared; `command` is given the port."""

    name: str
    command: Callable[[int], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = "/ok"
    """What answers when it is up."""
    needs_postgres: bool = False
    """Whether it is given an empty database; without PostgreSQL it is left out."""

    @property
    def is_installed(self) -> bool:
        """Whether its program is there, and what that needs."""
        is_possible = POSTGRES in os.environ or not self.needs_postgres
        return is_possible and Path(self.command(0)[0]).exists()


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    pid: int
    start: float
    """Seconds from the start of its process until it answered."""


def _millstream(port: int) -> list[str]:
    program = str(Path(sys.executable).with_name("millstream"))
    return [program, "serve", "--port", str(port), "--workers-per-process", str(SLOTS)]


def _reference(port: int) -> list[str]:
    program = str(ENVIRONMENTS / "reference" / "bin" / "langgraph")
    # It would fail the runs of a node that blocks, which is one of the scenes, and look for such.
    options = ["--no-browser", "--no-reload", "--allow-blocking", "--n-jobs-per-worker", str(SLOTS)]
    return [program, "dev", "--port", str(port), *options]


def _aegra(port: int) -> list[str]:
    program = str(ENVIRONMENTS / "aegra" / "bin" / "uvicorn")
    return [program, "aegra_api.main:app", "--port", str(port), "--log-level", "warning"]


MILLSTREAM: Final = Server("millstream", _millstream)
REFERENCE: Final = Server(
    "langgraph dev",
    _reference,
    # What it would tell its makers is nobody's business here, and takes time.
    {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LOG_LEVEL": "WARNING"},
)
AEGRA: Final = Server(
    "aegra",
    _aegra,
    {"AEGRA_CONFIG": "langgraph.json", "LOG_LEVEL": "WARNING", "SQLALCHEMY_POOL_SIZE": "20"},
    health="/health",
    needs_postgres=True,
)
SERVERS: Final = (MILLSTREAM, REFERENCE, AEGRA)


@contextmanager
def running(server: Server, served: Path = SERVED) -> Iterator[Running]:
    """Lend a server that has just been started, with the graphs of a folder.

    What it says goes to a file.

    Raises RuntimeError, with the end of what it said, if it does not come to answer.
    """
    with tempfile.TemporaryDirectory(prefix="servers-") as name:
        folder = Path(name) / "served"
        shutil.copytree(served, folder, ignore=shutil.ignore_patterns("__pycache__"))
        port = _free_port()
        database = {"DATABASE_URL": _new_database()} if server.needs_postgres else {}
        said = Path(name) / "log"
        with said.open("wb") as log:
            began = time.perf_counter()
            process = subprocess.Popen(
                server.command(port),
                cwd=folder,
                env={**os.environ, **server.environment, **database},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if not _answers(process, port, server.health):
                    end = said.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{server.name} does not answer:\n{end}")
                yield Running(port, process.pid, time.perf_counter() - began)
            finally:
                _stop(process)


def _new_database() -> str:
    """Make an empty database and return its address; it goes when the server of it does."""
    address = os.environ[POSTGRES]
    name = f"served_{uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return urlsplit(address)._replace(path=f"/{name}").geturl()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int, path: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if _is_up(port, path):
            return True
        time.sleep(0.02)
    return False


def _is_up(port: int, path: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
            return True
    except (URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        if process.poll() is None:
            # With whatever it has started.
            os.killpg(process.pid, number)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
    process.wait()
